"""When the black box gets a look at the threads: seldom enough to cost next to nothing, whatever their number."""

from __future__ import annotations

from time import thread_time
from typing import TYPE_CHECKING, Any

from ..base.validation import BadRequestError
from ..inspection.threads import MOST_THREADS, Seen

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY = 10.0
"""Seconds between two looks."""
AGAIN = 1.0
"""Seconds between the first two: shares of a processor are known only after the second."""
SHARE = 0.0002
"""CPU time that looks may take, of a core; with very many threads there are fewer looks, but one every MOST seconds."""
MOST = 30.0


class ThreadLooks:
    """The looks of one black box. Used by the probe's thread."""

    def __init__(self) -> None:
        self._seen = Seen()
        self._last: dict[str, Any] | None = None
        self._begun = False
        self._due = 0.0
        self._pause = AGAIN
        self._most = 0

    def begin(self, most: int) -> None:
        """Begins a segment, which has the last look as well: it can be read alone. `most`: threads in a look."""
        self._most = min(most, MOST_THREADS)
        self._begun = True

    def next(self, now: float, read: Callable[[Seen, int], dict[str, Any]]) -> dict[str, Any] | None:
        """A new look if one is due, or the last one in the first tick of a segment; else None."""
        begun, self._begun = self._begun, False
        if now < self._due:
            return self._last if begun else None
        before = thread_time()
        try:
            self._last = read(self._seen, self._most)
        except BadRequestError:  # without /proc there is nothing to look at
            self._last = None
        self._due = now + min(max(self._pause, (thread_time() - before) / SHARE), MOST)
        self._pause = EVERY
        return self._last
