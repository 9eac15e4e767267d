"""Lines of source as they are on this machine. What is not here is said, never guessed."""

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
"""Seconds after which a file that is still shown is looked at again."""
READING = SourceFile("is being read …")


class Sources:
    """The files that were looked at. They are read in a thread of its own, which may hang where a disk does."""

    def __init__(self, came: Callable[[], None] = lambda: None, owner: Callable[[], int | None] = lambda: None) -> None:
        """`came` is called in the thread when there is something new to show; `owner` is that of the program."""
        self._came, self._owner = came, owner
        self._files: dict[str, SourceFile] = {}
        self._looked: dict[str, float] = {}
        self._wanted: SimpleQueue[str] = SimpleQueue()
        self._asked: set[str] = set()
        self._thread: threading.Thread | None = None

    @property
    def reading(self) -> bool:
        """Whether something is asked for that has not come."""
        return bool(self._asked)

    def lines(self, path: str) -> tuple[str, ...] | str:
        """The lines of a file as they are known by now, or why there are none."""
        if path.startswith("<"):
            return "has no source file"
        if not path.startswith("/") and ":" not in path[:3]:
            return "its path is not known"
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
        """Whether the file is newer than what runs, so that its line numbers may be others."""
        known = self._files.get(path)
        return known is not None and known.changed > when

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
