"""Runs the static analysis on files and folders: which files, which rules, what is left out."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.check import deprecated, dropped, stale_write
from monitor.check.diagnostic import Diagnostic, diagnostic
from monitor.check.rules import RULES, Version
from monitor.check.source import Source, parse
from monitor.check.walk import Walk
from monitor.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "env", "build", "dist", "_build"})
_REQUIRES = re.compile(r"requires-python\s*=\s*[\"'][^\"']*?(?:>=|==|~=|>)\s*3\.(\d+)")
MOST_BYTES = 10_000_000
"""Largest file that is read: no source is that large, and a file may be anything."""


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """Options of `looptop check`."""

    python: Version | None = None
    """None: what `pyproject.toml` requires, else the Python that runs this."""
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    """Patterns as for `Path.match`: `tests/*`, `*_pb2.py`."""

    def rules(self) -> frozenset[str]:
        """The selected rules. Raises UsageError for an unknown code."""
        for code in (*self.select, *self.ignore):
            if not _codes(code):
                raise UsageError(
                    f"no such rule: {code}", f"the rules are {min(RULES)} to {max(RULES)}: looptop check --rules"
                )
        chosen = {code for given in self.select for code in _codes(given)} or set(RULES)
        return frozenset(chosen - {code for given in self.ignore for code in _codes(given)})


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a run."""

    found: list[Diagnostic]
    files: int
    python: Version
    notes: list[str]
    """Files that could not be read, one line each."""


def check(paths: Sequence[str], options: CheckOptions) -> Report:
    """Check files and folders. Raises UsageError for a path that does not exist."""
    rules = options.rules()
    given = [Path(path) for path in paths]
    for path in given:
        if not path.exists():
            raise UsageError(f"no such file or folder: {path}", "name a Python file, or a folder with Python files")
    python = options.python or required(given) or sys.version_info[:2]
    result = Report([], 0, python, [])
    files = 0
    for path in dict.fromkeys(_files(given, options.exclude)):
        try:
            if path.stat().st_size > MOST_BYTES:
                result.notes.append(f"{path} was skipped: larger than {MOST_BYTES // 1_000_000} MB")
                continue
            content = path.read_bytes()
        except OSError as error:
            result.notes.append(f"{path} cannot be read: {error.strerror or error}")
            continue
        files += 1
        result.found.extend(one for one in check_source(content, str(path)) if one.code in rules)
    return Report(result.found, files, python, result.notes)


def check_source(content: bytes, shown: str) -> list[Diagnostic]:
    """The findings in one file, in the order of its lines."""
    try:
        source = parse(content, shown)
        return sorted(set(_diagnostics(source)))
    except SyntaxError as error:
        line, column = error.lineno or 1, error.offset or 1
        text = (error.text or "").strip()
        return [
            Diagnostic(shown, max(line, 1), max(column, 1), "LT00", error.msg, max(line, 1), max(column, 1) + 1, text)
        ]
    except RecursionError:
        return [Diagnostic(shown, 1, 1, "LT00", "nested too deeply to analyse", 1, 2, "")]


def _diagnostics(source: Source) -> Iterator[Diagnostic]:
    walk = Walk(source)
    for rules in (deprecated.inspect, dropped.inspect, stale_write.inspect):
        for node, code, what in rules(walk):
            ruff = RULES[code].ruff
            if not source.quiet(node.lineno, (code, ruff) if ruff else (code,)):
                yield diagnostic(source.path, source.lines, node, code, what)


def required(paths: Iterable[Path]) -> Version | None:
    """The oldest Python that the project of the first path supports."""
    for path in paths:
        for folder in (path.resolve(), *path.resolve().parents):
            project = folder / "pyproject.toml"
            if project.is_file():
                wanted = _REQUIRES.search(project.read_text("utf-8", "replace"))
                return None if wanted is None else (3, int(wanted[1]))
    return None


def _files(paths: Iterable[Path], exclude: Sequence[str]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path  # named on the command line: checked whatever its suffix
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if _is_searched(Path(folder, name), exclude))
            for name in sorted(names):
                file = Path(folder, name)
                if name.endswith((".py", ".pyi", ".pyw")) and not _excluded(file, exclude):
                    yield file


def _is_searched(folder: Path, exclude: Sequence[str]) -> bool:
    if folder.name in _SKIPPED or folder.name.startswith("."):
        return False
    return not (folder / "pyvenv.cfg").exists() and not _excluded(folder, exclude)


def _excluded(path: Path, exclude: Sequence[str]) -> bool:
    return any(path.match(pattern) for pattern in exclude)


def _codes(given: str) -> list[str]:
    """Expand prefixes as ruff does, `LT1` to LT10, LT11 and LT12; ruff's own codes are understood."""
    wanted = given.strip().upper()
    return [code for code, rule in RULES.items() if code.startswith(wanted) or (rule.ruff and rule.ruff == wanted)]
