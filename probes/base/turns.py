"""Giving the GIL away while many things are gone through, so that the program does not feel it.

A thread that waits for the GIL asks for it after 5 ms (`sys.setswitchinterval`), which is far too late for a program
with timers of its own. `sleep(0)` does not help: who gives the GIL away like that has it again before the thread that
waits has woken up. So after SLICE seconds of work the thread sleeps for a moment that another one can wake up in.
"""

from __future__ import annotations

from time import monotonic, sleep
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Thing = TypeVar("Thing")

SLICE = 0.001
PAUSE = 0.0002
_LOOK_EVERY = 64
"""Things between two looks at the clock."""


class Turns:
    """Gives the program its turn when it is time. Used by one thread, the probe's server thread."""

    def __init__(self) -> None:
        self._since = 0.0

    def due(self) -> bool:
        """Whether this thread has worked for SLICE seconds since it last slept here."""
        return monotonic() - self._since >= SLICE

    def give(self) -> None:
        """Sleeps, if this thread has worked for SLICE seconds since it last slept here. Hold nothing of the program."""
        if self.due():
            sleep(PAUSE)
            self._since = monotonic()

    def over(self, things: Iterable[Thing]) -> Iterator[Thing]:
        """The things, with turns of the program in between. Not for tasks or frames: the caller would hold one."""
        for number, thing in enumerate(things):
            if number % _LOOK_EVERY == _LOOK_EVERY - 1:
                self.give()
            yield thing


turns = Turns()
