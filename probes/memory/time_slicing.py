"""Runs long looks in slices, between which the program gets the GIL.

A look is a generator that does a little work between two `yield`s. The probe's thread drives it for SLICE seconds at a
time and then sleeps.
"""

from __future__ import annotations

from collections import deque
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from ..base.validation import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .requester import Requester
    from .traces import Steps

SLICE = 0.002
"""Seconds of work before the thread sleeps: less than the 5 ms after which CPython makes a thread give up the GIL."""

PAUSE = 0.002
FAREWELL = 1.0
MOST_LOOKS = 8


class SlicedJob:
    """A running look of one viewer."""

    __slots__ = ("answer", "refuse", "session", "steps")

    def __init__(
        self, session: Requester, steps: Steps, answer: Callable[[dict[str, Any]], None], refuse: Callable[[str], None]
    ) -> None:
        self.session = session
        self.steps = steps
        self.answer = answer
        self.refuse = refuse


class SlicedJobs:
    """The queue of looks, at most one per viewer, done one after the other."""

    def __init__(self) -> None:
        self._pending: deque[SlicedJob] = deque()
        self._next_slice = 0.0

    def begin(self, look: SlicedJob) -> None:
        """Queues a look. Raises BadRequestError if its viewer, or too many viewers, are waiting for one already."""
        if any(other.session is look.session for other in self._pending) or len(self._pending) >= MOST_LOOKS:
            raise BadRequestError("another snapshot is in progress: wait for its reply")
        self._pending.append(look)
        self._next_slice = 0.0

    def due(self) -> float | None:
        """When `step` must be called; None: no need."""
        return self._next_slice if self._pending else None

    def step(self, now: float) -> None:
        """Does one slice of the first look, if it is due."""
        if not self._pending or now < self._next_slice:
            return
        look = self._pending[0]
        try:
            while monotonic() - now < SLICE:
                next(look.steps)
        except StopIteration as done:
            self._pending.popleft()
            look.answer(done.value)
        except MemoryError:
            self._pending.popleft()
            look.refuse("the program does not have enough memory for a snapshot")
        except BadRequestError as error:
            self._pending.popleft()
            look.refuse(str(error))
        except Exception as error:
            self._pending.popleft()
            look.refuse(f"the snapshot failed: {type(error).__name__}: {error}"[:300])
        self._next_slice = monotonic() + PAUSE

    def finish(self) -> None:
        """Continues for a moment before the end, so that copies of traces are freed in slices."""
        until = monotonic() + FAREWELL
        while self._pending and monotonic() < until:
            self.step(monotonic())
            sleep(PAUSE)

    def forget(self) -> None:
        """Drops all looks unfinished."""
        self._pending.clear()
