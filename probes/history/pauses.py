"""The longest pause that the garbage collector made, between two looks."""

from __future__ import annotations

import gc
from time import monotonic
from typing import Any


class Pauses:
    """A callback of the collector, in `gc.callbacks` while this is on. It runs in whichever thread collects."""

    __slots__ = ("_callback", "_longest", "_started")

    def __init__(self) -> None:
        self._longest = self._started = 0.0
        self._callback: Any = None

    def on(self) -> None:
        """Puts the callback in."""
        if self._callback is None:
            self._callback = self._called  # one object, so that it is found again
            gc.callbacks.append(self._callback)

    def off(self) -> None:
        """Takes it out again, wherever it stands by now."""
        callback, self._callback = self._callback, None
        for place, other in enumerate(gc.callbacks):
            if other is callback:
                del gc.callbacks[place]
                break

    def _called(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._started = monotonic()
        elif self._started:
            self._longest = max(self._longest, monotonic() - self._started)

    def take(self) -> float:
        """The longest (s) since the last call."""
        longest, self._longest = self._longest, 0.0
        return longest
