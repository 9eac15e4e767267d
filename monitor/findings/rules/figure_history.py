"""What rules about growth remember: values of figures over a window of time."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

SECOND = 0.95
"""Between two values that are kept; a little less than the second at which they come."""


@dataclass(slots=True)
class Past:
    """Values of one figure, a second apart, over a window."""

    values: deque[tuple[float, float]] = field(default_factory=deque)

    def add(self, at: float, value: float, window: float) -> None:
        """Keeps a value if a second has passed; forgets what is older than the window."""
        values = self.values
        if values and at - values[-1][0] < SECOND:
            return
        values.append((at, value))
        while len(values) > 2 and values[1][0] <= at - window:
            values.popleft()

    def grown(self, window: float, pieces: int = 0) -> float:
        """By how much it grew over the window; 0.0 if it did not grow in each second (or in each of the pieces)."""
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
class Pasts:
    """One past for each thing that is there."""

    pasts: dict[Hashable, Past] = field(default_factory=dict)

    def of(self, key: Hashable) -> Past:
        """The past of a thing; a new one when it is met first."""
        past = self.pasts.get(key)
        if past is None:
            past = self.pasts[key] = Past()
        return past

    def keep(self, keys: set[Hashable]) -> None:
        """Forgets what is not there any more."""
        for key in self.pasts.keys() - keys:
            del self.pasts[key]
