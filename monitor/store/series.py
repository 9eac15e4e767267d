"""The last values of a figure, for sparklines. Bounded."""

from __future__ import annotations

from collections import deque

LENGTH = 240


class Series:
    """At most 240 values, the newest last. `total` counts all that ever came."""

    __slots__ = ("total", "values")

    def __init__(self) -> None:
        self.values: deque[float] = deque(maxlen=LENGTH)
        self.total = 0

    def add(self, value: float) -> None:
        """Appends a value; the oldest falls out."""
        self.values.append(value)
        self.total += 1

    def prepend(self, values: list[float]) -> None:
        """Puts older values before the others, as many as there is room for."""
        room = LENGTH - len(self.values)
        self.values.extendleft(reversed(values[-room:] if room else []))

    def copy(self) -> Series:
        """The same values, which stay."""
        twin = Series()
        twin.values, twin.total = self.values.copy(), self.total
        return twin

    def last(self, number: int) -> list[float]:
        """The newest values, at most that many, the newest last."""
        values = list(self.values)
        return values[-number:] if number else []
