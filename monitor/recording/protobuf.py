"""Writes protocol buffers: numbers, texts and messages by field number. Only what a trace needs."""

from __future__ import annotations

import struct

_VARINT, _DOUBLE, _BYTES = 0, 1, 2


def varint(value: int) -> bytes:
    """A number of at most 64 bits, seven bits a byte; negative ones in two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """An integer, enum or bool."""
    return varint(field << 3 | _VARINT) + varint(value)


def double(field: int, value: float) -> bytes:
    """Encode a double field (wire type 1)."""
    return varint(field << 3 | _DOUBLE) + struct.pack("<d", value)


def fixed64(field: int, value: int) -> bytes:
    """An unsigned integer of 8 bytes."""
    return varint(field << 3 | _DOUBLE) + struct.pack("<Q", value)


def data(field: int, value: bytes) -> bytes:
    """A message or bytes."""
    return varint(field << 3 | _BYTES) + varint(len(value)) + value


def text(field: int, value: str) -> bytes:
    """A string. What UTF-8 cannot hold becomes `?`."""
    return data(field, value.encode("utf-8", "replace"))
