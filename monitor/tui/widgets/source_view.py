"""Lines of source as they are on this machine. What is not here is said, never guessed."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from monitor.tui.paint import Line, line

MOST_BYTES = 2 << 20
MOST_FILES = 64


@dataclass(frozen=True, slots=True)
class _File:
    stamp: tuple[float, int]
    lines: tuple[str, ...]


class Sources:
    """The files that were looked at. Reading is bounded, and only regular files are read."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}

    def lines(self, path: str) -> tuple[str, ...] | str:
        """The lines of a file, or why there are none."""
        if path.startswith("<"):
            return "has no source file"
        if not path.startswith("/") and ":" not in path[:3]:
            return "its path is not known"
        try:
            facts = Path(path).stat()
            if not stat.S_ISREG(facts.st_mode):
                return "is no regular file"
            if facts.st_size > MOST_BYTES:
                return "is too big to be read here"
            stamp = (facts.st_mtime, facts.st_size)
            known = self._files.get(path)
            if known is None or known.stamp != stamp:
                if len(self._files) >= MOST_FILES:
                    self._files.clear()
                text = Path(path).read_bytes()[:MOST_BYTES].decode("utf-8", "replace")
                known = self._files[path] = _File(stamp, tuple(text.split("\n")))
        except (OSError, ValueError):
            return "is not on this machine"
        return known.lines

    def changed_after(self, path: str, when: float) -> bool:
        """Whether the file is newer than what runs, so that its line numbers may be others."""
        known = self._files.get(path)
        return known is not None and known.stamp[0] > when

    def one(self, path: str, number: int) -> str | None:
        """One line without its indentation, or None."""
        lines = self.lines(path)
        if isinstance(lines, str) or not 0 < number <= len(lines):
            return None
        return lines[number - 1].strip()

    def around(self, path: str, number: int, before: int = 3, after: int = 3) -> list[Line]:
        """The lines around a line, the line itself marked; or one that says why not."""
        lines = self.lines(path)
        if isinstance(lines, str):
            return [line((f"    (source: {path} {lines})", "dim"))]
        if not 0 < number <= len(lines):
            return [line((f"    (source: {path} has only {len(lines)} lines; it has changed)", "dim"))]
        first, last = max(number - before, 1), min(number + after, len(lines))
        shown = [lines[place - 1].expandtabs(4).rstrip() for place in range(first, last + 1)]
        while len(shown) > number - first + 1 and not shown[-1]:
            shown.pop()
        while first < number and not shown[0]:
            shown.pop(0)
            first += 1
        last = first + len(shown) - 1
        margin = min((len(text) - len(text.lstrip()) for text in shown if text), default=0)
        digits = len(str(last))
        result = []
        for place, text in zip(range(first, last + 1), shown, strict=True):
            if place == number:
                result.append(line((f"  ▶ {place:>{digits}}  ", "blame"), (text[margin:], "blame")))
            else:
                result.append(line((f"    {place:>{digits}}  ", "faint"), (text[margin:], "dim")))
        return result
