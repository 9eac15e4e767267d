"""Encodes protocol buffers by field number, as far as traces and profiles need it."""

from __future__ import annotations

import struct

_VARINT, _DOUBLE, _BYTES = 0, 1, 2


def varint(value: int) -> bytes:
    """Encode a number of at most 64 bits as a varint; negative ones in two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """Encode an integer, enum or bool field."""
    return varint(field << 3 | _VARINT) + varint(value)


def double(field: int, value: float) -> bytes:
    """Encode a double field (wire type 1)."""
    return varint(field << 3 | _DOUBLE) + struct.pack("<d", value)


def fixed64(field: int, value: int) -> bytes:
    """Encode a fixed64 field (unsigned)."""
    return varint(field << 3 | _DOUBLE) + struct.pack("<Q", value)


def data(field: int, value: bytes) -> bytes:
    """Encode a field that holds a message or bytes."""
    return varint(field << 3 | _BYTES) + varint(len(value)) + value


def text(field: int, value: str) -> bytes:
    """Encode a string field. Characters that UTF-8 cannot hold become `?`."""
    return data(field, value.encode("utf-8", "replace"))
