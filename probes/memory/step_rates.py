"""Step rate of all loops and busy time per step: before tracing is switched on, and while it is on."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

_OVER = 5.0
"""Seconds over which a rate is measured."""

_FROM = 0.5
"""Fewest seconds for a rate."""


class Rates:
    """The rates of all loops together."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, float]] = deque(maxlen=200)

    def add(self, now: float, steps: int, busy: float) -> None:
        """Adds the totals at a look of the sampler; starts again if the counts did."""
        if self._seen and (steps < self._seen[-1][1] or busy < self._seen[-1][2]):
            self._seen.clear()
        self._seen.append((now, steps, busy))

    def begin(self) -> Rates:
        """Starts measuring again from now on."""
        later = Rates()
        if self._seen:
            later._seen.append(self._seen[-1])
        return later

    def facts(self) -> dict[str, float | None]:
        """Steps per second and busy microseconds per step over the last seconds; None until there are enough."""
        if not self._seen:
            return {"steps": None, "busy": None}
        now = self._seen[-1][0]
        seen = [entry for entry in self._seen if now - entry[0] <= _OVER]
        elapsed, made = now - seen[0][0], seen[-1][1] - seen[0][1]
        if elapsed < _FROM:
            return {"steps": None, "busy": None}
        return {"steps": round(made / elapsed, 3), "busy": _typical(seen)}


def _typical(seen: list[tuple[float, int, float]]) -> float | None:
    """Busy microseconds per step, the median, so that a blocking step does not count."""
    parts = [(after[2] - before[2], after[1] - before[1]) for before, after in pairwise(seen)]
    prices = sorted((busy / steps, steps) for busy, steps in parts if steps)
    left = sum(steps for _, steps in prices) / 2
    for price, steps in prices:
        left -= steps
        if left <= 0:
            return round(price * 1e6, 3)
    return None
