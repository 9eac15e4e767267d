"""One source file: text, syntax tree, imported names, and suppressed lines."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_ASYNC_NAME = re.compile(r"\basync\b(?!\s+(?:def|for|with)\b)")
_NOQA = re.compile(r"#\s*noqa(?P<codes>:\s*[A-Z]+[0-9]+(?:[,\s]+[A-Z]+[0-9]+)*)?", re.IGNORECASE)

STAND_IN = "asyn_"
"""Replaces the name `async`, with the same length, so that files from before 3.7 can be parsed."""


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed file: its path, lines, tree and imported names."""

    path: str
    lines: list[str]
    tree: ast.Module
    names: dict[str, str] = field(default_factory=dict)
    """What a module-level name refers to: `aio` → `asyncio`, `sleep` → `asyncio.sleep`."""

    def dotted(self, node: ast.AST) -> str | None:
        """The full name of an expression like `aio.Task.all_tasks`, or None if it is not a dotted name."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        parts.append(self.names.get(node.id, node.id))
        return ".".join(reversed(parts))

    def quiet(self, line: int, codes: tuple[str, ...]) -> bool:
        """Whether a `noqa` comment on that line covers one of the codes."""
        text = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        found = _NOQA.search(text)
        if found is None:
            return False
        named = found["codes"]
        return named is None or bool({code.upper() for code in re.split(r"[:,\s]+", named)} & set(codes))


def read(path: Path, shown: str) -> Source:
    """Read a file. Raises SyntaxError if it is not Python, OSError if it cannot be read."""
    return parse(path.read_bytes(), shown)


def parse(content: bytes, shown: str) -> Source:
    """Parse the bytes of a file. Raises SyntaxError if they are not Python."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        text = io.TextIOWrapper(io.BytesIO(content), encoding).read()
    except (UnicodeDecodeError, LookupError) as error:
        raise SyntaxError(f"it is not text: {error}") from None
    try:
        tree = _tree(text)
    except SyntaxError:
        tree = _tree(_ASYNC_NAME.sub(STAND_IN, text))
    return Source(shown, text.split("\n"), tree, _imported(tree))


def _tree(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except ValueError as error:  # a null byte: a SyntaxError since 3.12
        raise SyntaxError(str(error)) from None
    except (RecursionError, MemoryError):
        raise SyntaxError("it is nested too deeply") from None


def _imported(tree: ast.Module) -> dict[str, str]:
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                names[name] = alias.name if alias.asname else name
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            for alias in node.names:
                names[alias.asname or alias.name] = _without_submodule(f"{node.module}.{alias.name}")
    return names


def _without_submodule(name: str) -> str:
    """Return the public name: `asyncio.tasks.sleep` is `asyncio.sleep`."""
    parts = name.split(".")
    return f"asyncio.{parts[2]}" if parts[0] == "asyncio" and len(parts) == 3 and parts[1].islower() else name
