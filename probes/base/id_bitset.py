"""A set of ids of tasks that takes a bit for each: a viewer has been told of very many."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_BITS = 10
"""Ids of one page, as a power of two; ids are counters, so pages are full, and empty when they get old."""
_LOW = (1 << _BITS) - 1


class Ids:
    """As much of a set as a session needs."""

    __slots__ = ("_pages",)

    def __init__(self) -> None:
        self._pages: dict[int, int] = {}

    def add(self, number: int) -> None:
        """Puts an id in."""
        page = number >> _BITS
        self._pages[page] = self._pages.get(page, 0) | 1 << (number & _LOW)

    def discard(self, number: int) -> None:
        """Takes an id out, if it is there."""
        page = number >> _BITS
        bits = self._pages.get(page, 0) & ~(1 << (number & _LOW))
        if bits:
            self._pages[page] = bits
        else:
            self._pages.pop(page, None)

    def difference_update(self, numbers: Iterable[int]) -> None:
        """Takes several out."""
        for number in numbers:
            self.discard(number)

    def __contains__(self, number: int) -> bool:
        return bool(self._pages.get(number >> _BITS, 0) >> (number & _LOW) & 1)

    def __bool__(self) -> bool:
        return bool(self._pages)
