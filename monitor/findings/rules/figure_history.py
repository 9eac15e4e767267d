"""Values of figures over a window of time, for rules about growth."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

SECOND = 0.95
"""Seconds between two values that are kept; slightly less than the interval at which they arrive."""


@dataclass(slots=True)
class FigureHistory:
    """The values of one figure over a window, one per second."""

    values: deque[tuple[float, float]] = field(default_factory=deque)

    def add(self, at: float, value: float, window: float) -> None:
        """Keeps a value if a second has passed; drops values older than the window."""
        values = self.values
        if values and at - values[-1][0] < SECOND:
            return
        values.append((at, value))
        while len(values) > 2 and values[1][0] <= at - window:
            values.popleft()

    def grown(self, window: float, pieces: int = 0) -> float:
        """The growth over the window; 0.0 unless it grew in every second (or in each of the pieces)."""
        values = self.values
        if len(values) < 3 or values[-1][0] - values[0][0] < window * 0.9:
            return 0.0
        if pieces:
            step = max(len(values) // pieces, 1)
            chosen = [value for _, value in list(values)[::-1][::step]][::-1]
        else:
            chosen = [value for _, value in values]
        if any(after <= before for before, after in itertools.pairwise(chosen)):
            return 0.0
        return values[-1][1] - values[0][1]


@dataclass(slots=True)
class FigureHistories:
    """The history of each object that exists, by its key."""

    histories: dict[Hashable, FigureHistory] = field(default_factory=dict)

    def of(self, key: Hashable) -> FigureHistory:
        """The history for a key; a new one at its first use."""
        history = self.histories.get(key)
        if history is None:
            history = self.histories[key] = FigureHistory()
        return history

    def keep(self, keys: set[Hashable]) -> None:
        """Drops the histories of all other keys."""
        for key in self.histories.keys() - keys:
            del self.histories[key]
