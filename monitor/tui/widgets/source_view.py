"""Source lines from this machine. If a file is missing, the reason is shown instead."""

from __future__ import annotations

import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING

from monitor.tui.base.paint import Line, line
from monitor.tui.widgets.source_files import SourceFile, read_source

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_FILES = 64
FRESH = 1.0
"""Seconds after which a visible file is checked for changes."""
READING = SourceFile("is being read …")


class Sources:
    """A cache of source files, read in a separate thread because a disk may hang."""

    def __init__(self, came: Callable[[], None] = lambda: None, owner: Callable[[], int | None] = lambda: None) -> None:
        """`came` is called in the reading thread after a file was read; `owner` returns the user id of the program."""
        self._came, self._owner = came, owner
        self._files: dict[str, SourceFile] = {}
        self._looked: dict[str, float] = {}
        self._wanted: SimpleQueue[str] = SimpleQueue()
        self._asked: set[str] = set()
        self._thread: threading.Thread | None = None

    @property
    def reading(self) -> bool:
        """Whether a file is being read."""
        return bool(self._asked)

    def lines(self, path: str) -> tuple[str, ...] | str:
        """The lines of a file as far as it has been read, or why there are none."""
        if path.startswith("<"):
            return "has no source file"
        if not path.startswith("/") and ":" not in path[:3]:
            return "has an unknown path"
        if path not in self._asked and time.monotonic() - self._looked.get(path, float("-inf")) > FRESH:
            self._ask(path)
        return self._files.get(path, READING).lines

    def _ask(self, path: str) -> None:
        if len(self._files) >= MOST_FILES and path not in self._files:
            self._files.clear()
            self._looked.clear()
        self._asked.add(path)
        self._wanted.put(path)
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, name="looptop-sources", daemon=True)
            self._thread.start()

    def _read(self) -> None:
        while True:
            path = self._wanted.get()
            before = self._files.get(path)
            found = read_source(path, self._owner(), before)
            self._files[path], self._looked[path] = found, time.monotonic()
            self._asked.discard(path)
            if found is not before:
                self._came()

    def changed_after(self, path: str, when: float) -> bool:
        """Whether a file is newer than `when`, so that its line numbers may not match."""
        known = self._files.get(path)
        return known is not None and known.changed > when

    def one(self, path: str, number: int) -> str | None:
        """One line without indentation, or None."""
        lines = self.lines(path)
        if isinstance(lines, str) or not 0 < number <= len(lines):
            return None
        return lines[number - 1].strip()

    def around(self, path: str, number: int, before: int = 3, after: int = 3) -> list[Line]:
        """The lines around a line, which is marked; or one line with the reason why not."""
        lines = self.lines(path)
        if isinstance(lines, str):
            return [line((f"    (source: {path} {lines})", "dim"))]
        if not 0 < number <= len(lines):
            return [line((f"    (source: {path} has only {len(lines)} lines; it was changed)", "dim"))]
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
