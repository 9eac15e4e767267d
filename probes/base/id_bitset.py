"""A set of task ids that takes one bit per id: a session remembers every task that its viewer knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_BITS = 10
"""The number of ids in one page is 2 to this power. Ids are counters, so pages fill up and old ones become empty."""
_LOW = (1 << _BITS) - 1


class Ids:
    """The part of the interface of a set that a session needs."""

    __slots__ = ("_pages",)

    def __init__(self) -> None:
        self._pages: dict[int, int] = {}

    def add(self, number: int) -> None:
        """Add an id to the set."""
        page = number >> _BITS
        self._pages[page] = self._pages.get(page, 0) | 1 << (number & _LOW)

    def discard(self, number: int) -> None:
        """Removes an id if it is in the set."""
        page = number >> _BITS
        bits = self._pages.get(page, 0) & ~(1 << (number & _LOW))
        if bits:
            self._pages[page] = bits
        else:
            self._pages.pop(page, None)

    def difference_update(self, numbers: Iterable[int]) -> None:
        """Remove every id in `numbers`."""
        for number in numbers:
            self.discard(number)

    def __contains__(self, number: int) -> bool:
        return bool(self._pages.get(number >> _BITS, 0) >> (number & _LOW) & 1)

    def __bool__(self) -> bool:
        return bool(self._pages)
