"""One tracemalloc session: its requester, its cost for the program, and when it must end.

Tracing is expensive, so it starts only on request and ends automatically: after its duration, when the requester
leaves, or when the traced total exceeds the limit. If the program traces already, that is used and left on.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from .traces import Lines, tracer

if TYPE_CHECKING:
    from .requester import Requester
    from .step_rates import Rates

LIMIT_CHECKED = 0.25


class Tracing:
    """One tracing, from its start to its end."""

    def __init__(self, owner: Requester, frames: int, rates: Rates, at: int) -> None:
        """Starts tracing; call `go_on` next. `rates`: those of all loops so far; `at`: now, in Unix microseconds."""
        self.owner = owner
        self.adopted = bool(tracer.is_tracing())  # True: the program traced already, and tracing is left on
        if not self.adopted:
            tracer.start(frames)
        self.lines = Lines()
        self.pause: float | None = None
        self.looks = 0
        self.during = rates.begin()
        self._before = {"steps": None, "busy": None} if self.adopted else rates.facts()
        self._at = at
        self._until = 0.0
        self._limit = 0
        self._limit_due = 0.0

    def go_on(self, duration: float, limit: int) -> None:
        """Extends tracing to that long from now (s), up to a total of traced bytes."""
        self._until, self._limit = monotonic() + duration, limit

    def due(self) -> float:
        """When `why_over` must be called."""
        return min(self._until, self._limit_due)

    def why_over(self, now: float) -> str | None:
        """Why tracing must end now; None: it continues. The total is read only from time to time."""
        if now >= self._until:
            return "duration reached"
        if not tracer.is_tracing():
            return "the program has switched it off"
        if now >= self._limit_due:
            self._limit_due = now + LIMIT_CHECKED
            traced = tracer.get_traced_memory()[0]
            if traced > self._limit:
                return f"{_mebibytes(traced)} are traced, the limit is {_mebibytes(self._limit)}"
        return None

    def end(self) -> bool:
        """Ends tracing. Returns whether the program itself continues to trace, as before."""
        if not self.adopted:
            tracer.stop()
        return bool(self.adopted and tracer.is_tracing())

    def facts(self, session: Requester, baseline: int | None) -> dict[str, Any]:
        """The `tracing` of the protocol for a viewer whose baseline was taken at that time."""
        traced, peak = tracer.get_traced_memory()
        return {
            "since": self._at,
            "left": max(round((self._until - monotonic()) * 1e6), 0),
            "frames": tracer.get_traceback_limit(),
            "limit": self._limit,
            "traced": traced,
            "peak": peak,
            "overhead": tracer.get_tracemalloc_memory(),
            "mine": self.owner is session,
            "adopted": self.adopted,
            "before": self._before,
            "during": self.during.facts(),
            "pause": None if self.pause is None else round(self.pause * 1e6),
            "looks": self.looks,
            "baseline": baseline,
        }


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.3g} MiB"
