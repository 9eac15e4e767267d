"""Orders of two threads, one after the other and without luck: what the other does happens at a moment of our choice."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

TESTS = str(Path(__file__).resolve().parent)


def interrupted(make: Callable[[], tuple[Callable[[], T], Callable[[], object]]]) -> Iterator[T]:
    """What a function returns when another thread gets the GIL once in between, for each moment at which it may; last
    without that.

    `make()` returns the function and what the other thread does, both on fresh objects. CPython switches threads as a
    function begins, at a jump backward, and after a call of C.
    """
    for place in count():
        function, other = make()
        switch = _Switch(place, other)
        before = sys.gettrace(), sys.getprofile()
        sys.settrace(switch.trace)
        sys.setprofile(switch.profile)
        try:
            found = function()
        finally:
            sys.settrace(before[0])
            sys.setprofile(before[1])
        yield found
        if switch.left >= 0:
            return


class _Switch:
    def __init__(self, place: int, other: Callable[[], object]) -> None:
        self.left = place
        self._other = other
        self._lines: dict[Any, int] = {}

    def trace(self, frame: Any, event: str, _argument: object) -> Any:
        if event == "line":
            before = self._lines.get(frame)
            self._lines[frame] = line = frame.f_lineno
            if before is None or line <= before:
                self._meet(frame)
        return self.trace

    def profile(self, frame: Any, event: str, _argument: object) -> None:
        if event == "c_return":
            self._meet(frame)

    def _meet(self, frame: Any) -> None:
        if frame.f_code.co_filename.startswith(TESTS):
            return
        self.left -= 1
        if self.left == -1:
            self._other()
