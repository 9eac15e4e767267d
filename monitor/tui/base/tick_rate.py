"""How often the dashboard ticks. Late twice in a row, the rate halves; in time for a while, it doubles again."""

from __future__ import annotations

LATE = 1.6  # periods
SLOWEST = 0.5
CALM_BEATS = 40


class TickRate:
    """Told the time of every tick. A rate of 0 means that somebody else drives."""

    def __init__(self, hz: float) -> None:
        self.hz = hz
        self.rate = hz
        self._last: float | None = None
        self._late = 0
        self._calm = 0

    @property
    def period(self) -> float:
        """Seconds between two ticks."""
        return 1 / self.rate

    @property
    def slowed(self) -> bool:
        """Whether it is slower than asked."""
        return self.rate < self.hz

    def rest(self) -> None:
        """Forgets the last tick: what was between it and the next one was no work of ours."""
        self._last, self._late = None, 0

    def beat(self, now: float) -> bool:
        """Notes a tick; True when the rate has changed."""
        last, self._last = self._last, now
        if not self.hz or last is None:
            return False
        if now - last > LATE * self.period:
            self._late, self._calm = self._late + 1, 0
        else:
            self._late, self._calm = 0, self._calm + 1
        if self._late >= 2 and self.rate / 2 >= SLOWEST:
            self.rate /= 2
        elif self.slowed and self._calm >= CALM_BEATS:
            self.rate = min(self.rate * 2, self.hz)
        else:
            return False
        self._late = self._calm = 0
        return True
