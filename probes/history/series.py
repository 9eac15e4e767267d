"""A time series in arrays of fixed size: the oldest rows make room for the newest."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

UNKNOWN = -1
_MOST = 2**31 - 1


class Series:
    """Rows of integers, one for each slot of time. UNKNOWN stands for a slot without a measurement.

    The arrays grow until they are full, so a program that lives for a minute uses next to no memory.
    """

    __slots__ = ("_base", "_columns", "_rows", "newest")

    def __init__(self, columns: int, rows: int) -> None:
        self._columns = [array("i") for _ in range(columns)]
        self._rows = rows
        self._base = 0  # the first slot ever written
        self.newest = -1

    @property
    def oldest(self) -> int:
        """The first slot that is still known."""
        return max(self._base, self.newest - self._rows + 1)

    def put(self, slot: int, row: Sequence[int]) -> None:
        """Writes the row of a slot after all others; slots in between become UNKNOWN."""
        if self.newest < self._base or slot - self.newest > self._rows:
            self._base, self.newest = slot, slot - 1
            for column in self._columns:
                del column[:]
        while self.newest < slot:
            self.newest += 1
            place = (self.newest - self._base) % self._rows
            for column, value in zip(self._columns, row, strict=True):
                known = UNKNOWN if self.newest < slot else min(max(value, UNKNOWN), _MOST)
                if place < len(column):
                    column[place] = known
                else:
                    column.append(known)

    def since(self, slot: int) -> tuple[int, list[list[int]]]:
        """The first known slot from a slot on, and the columns from it to the newest."""
        first = max(slot, self.oldest)
        number = self.newest - first + 1
        if number <= 0:
            return first, [[] for _ in self._columns]
        begin = (first - self._base) % self._rows
        end = begin + number
        wrapped = max(end - self._rows, 0)
        return first, [list(column[begin : end - wrapped] + column[:wrapped]) for column in self._columns]

    def size(self) -> int:
        """Bytes of the figures."""
        return sum(column.itemsize * len(column) for column in self._columns)
