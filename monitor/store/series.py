"""The newest values of a figure, for sparklines."""

from __future__ import annotations

from collections import deque

LENGTH = 240


class Series:
    """At most 240 values, newest last. `total` counts all values so far."""

    __slots__ = ("total", "values")

    def __init__(self) -> None:
        self.values: deque[float] = deque(maxlen=LENGTH)
        self.total = 0

    def add(self, value: float) -> None:
        """Append a value, dropping the oldest if full."""
        self.values.append(value)
        self.total += 1

    def prepend(self, values: list[float]) -> None:
        """Insert older values before the others, as far as there is room."""
        room = LENGTH - len(self.values)
        self.values.extendleft(reversed(values[-room:] if room else []))

    def copy(self) -> Series:
        """Return an independent copy."""
        twin = Series()
        twin.values, twin.total = self.values.copy(), self.total
        return twin

    def last(self, number: int) -> list[float]:
        """Return at most that many of the newest values, newest last."""
        values = list(self.values)
        return values[-number:] if number else []
