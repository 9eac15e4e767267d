"""The bytes of a recording: a readable heading, blocks with checksums, an index, a trailer. Knows nothing of frames.

    looptop-recording 1⏎
    {"format": 1, "protocol": 1, "session": …, "program": …, "schema": …, …}⏎
    block, block, …          each: head (lengths, checksums), summary (JSON), parts (zstd)
    index                    the summaries of all blocks, with their offsets
    trailer                  where the index is

Everything read is checked before use: a length against the file and a limit before memory is allocated for it, a part
against its checksum and its declared size.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import msgspec
import zstandard

from monitor.errors import LooptopError, UsageError
from monitor.protocol.rows import Int

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
MAGIC = b"looptop-recording "
PARTS = ("keyframe", "light", "ends", "frames", "history")
"""Names of the parts. `light` is read for the whole file when it is opened: figures of each tick and rare events."""

MOST_HEADING = 1 << 20
MOST_SUMMARY = 1 << 20
MOST_PART = 64 << 20
MOST_RAW = 256 << 20
"""Limit of a part in bytes, compressed and decompressed. Nothing larger is allocated."""

MOST_BLOCK = 1 << 30
"""Limit of a block in bytes of memory, decoded."""

LEAST_BUDGET, BUDGET = 128 << 20, 1000
"""Limit of a whole file in memory, decoded: the larger of a number of bytes and a multiple of the file's size (real
blocks take 30 to 120 times their size)."""

LEVEL = 9
_HEAD = struct.Struct("<4s6I6I")
_CRC = struct.Struct("<I")
_TRAILER = struct.Struct("<QII8s")
_BLOCK, _INDEX, _END = b"LTB1", b"LTX1", b"LTREC\r\n\x00"
HEAD_SIZE = _HEAD.size + _CRC.size


Offset = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]


class Damaged(LooptopError):  # noqa: N818 - names the state of a file
    """A part of a recording is damaged."""


class Marker(msgspec.Struct, frozen=True, array_like=True):
    """An event that the player can jump to.

    `at`: time of the tick that shows it. Kinds: slow, failed, burst, memory.
    """

    at: Int
    kind: str
    text: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about a block, readable without decompressing it. Times are Unix microseconds of the watched program."""

    start: Int  # time of the keyframe
    end: Int
    ticks: Int = 0
    slow: Int = 0
    unhandled: Int = 0
    notices: Int = 0
    ended: Int = 0
    failed: Int = 0
    dropped: Int = 0  # ticks missing before this block
    jump: bool = False  # does not continue where the previous block ended
    markers: list[Marker] = []


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Position and summary of a block in a file."""

    offset: Offset
    size: Offset
    summary: Summary


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """The index at the end of a finished recording."""

    places: list[Place]
    dropped: Int = 0  # ticks dropped in the whole file
    reason: str = ""  # why the recording ended


# Writing


def heading(facts: dict[str, Any]) -> bytes:
    """Encode the first two lines of a file."""
    return MAGIC + f"{FORMAT}\n".encode() + msgspec.json.encode({"format": FORMAT, **facts}) + b"\n"


def block(summary: Summary, parts: dict[str, bytes], level: int = LEVEL) -> bytes:
    """Encode a block. Raises LooptopError if it exceeds what readers accept."""
    return _pack(_BLOCK, msgspec.json.encode(summary), [_compress(parts.get(name, b""), level) for name in PARTS])


def ending(index: Index, offset: int) -> bytes:
    """Encode index and trailer, to be written at `offset`."""
    data = _pack(_INDEX, b"{}", [_compress(msgspec.json.encode(index), LEVEL), *[b""] * (len(PARTS) - 1)])
    return data + _TRAILER.pack(offset, len(data), zlib.crc32(data), _END)


def _compress(data: bytes, level: int) -> bytes:
    if len(data) > MOST_RAW:
        raise LooptopError("this program has too much in it to be recorded", f"one block would be {len(data)} bytes")
    return zstandard.ZstdCompressor(level=level).compress(data) if data else b""


def _pack(magic: bytes, summary: bytes, parts: list[bytes]) -> bytes:
    pieces = [summary, *parts]
    head = _HEAD.pack(magic, *map(len, pieces), *map(zlib.crc32, pieces))
    return b"".join([head, _CRC.pack(zlib.crc32(head)), *pieces])


# Reading


class Head:
    """The decoded head of a block: offsets, lengths and checksums of its parts."""

    __slots__ = ("crcs", "lengths", "size")

    def __init__(self, data: bytes, magic: bytes = _BLOCK) -> None:
        """Decode a head. Raises Damaged if the bytes are not one."""
        if len(data) < HEAD_SIZE or zlib.crc32(data[: _HEAD.size]) != _CRC.unpack_from(data, _HEAD.size)[0]:
            raise Damaged("no block begins here")
        found, *numbers = _HEAD.unpack_from(data)
        self.lengths: list[int] = numbers[:6]
        self.crcs: list[int] = numbers[6:]
        if found != magic or self.lengths[0] > MOST_SUMMARY or max(self.lengths) > MOST_PART:
            raise Damaged("no block begins here")
        self.size = HEAD_SIZE + sum(self.lengths)


def read_heading(file: BinaryIO, path: Path) -> dict[str, Any]:
    """Read the facts of the first two lines. Raises UsageError if this version cannot read the file."""
    first = file.readline(64)
    if not first:
        raise UsageError(f"{path} is empty", "nothing was recorded")
    number = first[len(MAGIC) :].strip()
    if not first.startswith(MAGIC) or not number.isdigit():
        raise UsageError(f"{path} is not a looptop recording", "looptop record TARGET -o FILE makes one")
    if int(number) != FORMAT:
        raise UsageError(
            f"{path} is a recording of format {int(number)}, this looptop reads format {FORMAT}",
            "install a newer looptop",
        )
    try:
        line = file.readline(MOST_HEADING)
        if not line.endswith(b"\n"):
            raise UsageError(f"{path} is cut in its first lines", "nothing of it can be read")
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UsageError(f"the heading of {path} is damaged", "nothing of it can be read") from None


def read_index(file: BinaryIO, size: int) -> Index | None:
    """Read the index at the end of a file of `size` bytes. None if it is missing or damaged."""
    if size < _TRAILER.size:
        return None
    file.seek(size - _TRAILER.size)
    offset, length, crc, end = _TRAILER.unpack(file.read(_TRAILER.size))
    if end != _END or length > MOST_PART or offset + length + _TRAILER.size != size:
        return None
    file.seek(offset)
    data = file.read(length)
    try:
        if zlib.crc32(data) != crc:
            return None
        head = Head(data, _INDEX)
        at = HEAD_SIZE + head.lengths[0]
        raw = _decompress(data[at : at + head.lengths[1]], min(MOST_RAW, budget(size)))
        if weight(raw) > budget(size):
            return None
        index = msgspec.json.decode(raw, type=Index)
    except (Damaged, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    after = 0
    for place in index.places:
        if place.offset < after or place.size < HEAD_SIZE or place.offset + place.size > offset:
            return None
        after = place.offset + place.size
    return index


def read_place(file: BinaryIO, offset: int, size: int) -> Place | None:
    """Read the block at `offset` of a file of `size` bytes. None if there is no complete one."""
    file.seek(offset)
    try:
        head = Head(file.read(HEAD_SIZE))
        if offset + head.size > size:
            return None
        data = file.read(head.lengths[0])
        if zlib.crc32(data) != head.crcs[0]:
            return None
        summary = msgspec.json.decode(data, type=Summary)
    except (Damaged, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Place(offset=offset, size=head.size, summary=summary)


def weight(data: bytes) -> int:
    """Estimate the bytes of memory that decoding some JSON takes."""
    return len(data) + 32 * data.count(b",") + 64 * (data.count(b"[") + data.count(b"{"))


def budget(size: int) -> int:
    """Return the memory limit for all parts of a file of `size` bytes: a small file must not take gigabytes."""
    return LEAST_BUDGET + BUDGET * size


def read_part(file: BinaryIO, place: Place, name: str, most: int = MOST_RAW) -> bytes:
    """Read one part of a block and decompress it to `most` bytes at most. Raises Damaged."""
    number = PARTS.index(name) + 1
    file.seek(place.offset)
    head = Head(file.read(HEAD_SIZE))
    file.seek(place.offset + HEAD_SIZE + sum(head.lengths[:number]))
    data = file.read(head.lengths[number])
    if len(data) != head.lengths[number] or zlib.crc32(data) != head.crcs[number]:
        raise Damaged("a block is damaged")
    return _decompress(data, min(most, MOST_RAW)) if data else b""


def is_whole(file: BinaryIO, place: Place) -> bool:
    """Whether all parts of a block match their checksums."""
    file.seek(place.offset)
    data = file.read(place.size)
    try:
        head = Head(data)
    except Damaged:
        return False
    at = HEAD_SIZE
    for length, crc in zip(head.lengths, head.crcs, strict=True):
        if zlib.crc32(data[at : at + length]) != crc:
            return False
        at += length
    return True


def _decompress(data: bytes, most: int) -> bytes:
    try:
        if not 0 <= zstandard.frame_content_size(data) <= most:
            raise Damaged("a block is larger than any that is written")
        return zstandard.ZstdDecompressor(max_window_size=1 << 27).decompress(data, max_output_size=most)
    except (zstandard.ZstdError, MemoryError):
        raise Damaged("a block is damaged") from None
