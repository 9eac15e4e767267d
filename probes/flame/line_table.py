"""Finds the line of an instruction in a location table (`Objects/locations.md` of CPython, 3.11+).

`code.co_lines()` does the same for a live code object; this is for the copied table of one that may have gone.
"""

from __future__ import annotations

_NO_LOCATION, _LONG, _NO_COLUMN = 15, 14, 13


def line_at(table: bytes, first_line: int, unit: int) -> int:
    """The line of a code unit (half the byte offset of an instruction); the first line if it has none."""
    place = end = 0
    line = first_line
    while place < len(table):
        head = table[place]
        place += 1
        kind = head >> 3 & 15
        end += (head & 7) + 1
        if kind in (_LONG, _NO_COLUMN):
            delta, place = _varint(table, place)
            line += -(delta >> 1) if delta & 1 else delta >> 1
            if kind == _LONG:
                for _ in range(3):
                    _, place = _varint(table, place)
        elif kind != _NO_LOCATION:
            line += kind - 10 if kind >= 10 else 0
            place += 2 if kind >= 10 else 1
        if unit < end:
            return first_line if kind == _NO_LOCATION else line
    return first_line


def _varint(table: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(table):
        part = table[place]
        place += 1
        value |= (part & 63) << shift
        if not part & 64:
            break
        shift += 6
    return value, place
