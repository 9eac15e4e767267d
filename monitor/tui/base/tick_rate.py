"""The tick rate. It halves after two late ticks in a row and doubles again after 40 punctual ones."""

from __future__ import annotations

LATE = 1.6  # periods
SLOWEST = 0.5
CALM_BEATS = 40


class TickRate:
    """Adapts the rate to how punctual the ticks are. A rate of 0 means that the caller runs the ticks."""

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
        """Whether the rate is below the requested one."""
        return self.rate < self.hz

    def rest(self) -> None:
        """Forgets the time of the last tick, so that a suspension does not count as a late tick."""
        self._last, self._late = None, 0

    def beat(self, now: float) -> bool:
        """Notes the time of a tick; True if the rate changed."""
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
