"""Encodes the parts of a block as bytes, and decodes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from monitor.errors import LooptopError
from monitor.protocol import frames, keyframes
from monitor.protocol.frames import Event, Frame, HistoryRows
from monitor.protocol.keyframes import History, Keyframe
from monitor.protocol.rows import Int
from monitor.recording.file_format import Damaged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monitor.recording.blocks import Block

BEFORE = -1
"""The `place` of an event from before the block's keyframe: its own block was dropped."""


class LightTick(msgspec.Struct, frozen=True, array_like=True):
    """The figures of one whole tick."""

    place: Int  # number of the frame in the block, or BEFORE
    at: Int
    steps_per_s: float
    tasks: float
    rss: Int | None
    births: Int
    loops: list[tuple[Int, float, float | None]]  # id, lag, utilization since the tick before


class LightBlock(msgspec.Struct, frozen=True, kw_only=True):
    """The part that is read of every block when a file is opened.

    The place of an event, or of rows of history, is the number of frames before it.
    """

    ticks: list[LightTick] = []
    notes: list[tuple[Int, Event]] = []
    past: list[tuple[Int, HistoryRows]] = []


_encoder = msgspec.json.Encoder()
_light = msgspec.json.Decoder(LightBlock)
_ends = msgspec.json.Decoder(list[tuple[Int, Event]])
_keyframe = msgspec.json.Decoder(Keyframe)
_history = msgspec.json.Decoder(History)
_frames = msgspec.json.Decoder(frames.Static | frames.Tick | frames.Steps | frames.Reply)
Decoded = TypeVar("Decoded")
encode = _encoder.encode


def encode_frames(recorded: Iterable[Frame]) -> bytes:
    """Encode frames as JSON, one per line."""
    return _encoder.encode_lines(recorded)


def parts(block: Block) -> dict[str, bytes]:
    """Encode a block as the named parts of a file."""
    keyframe = Keyframe(
        **{name: getattr(block.keyframe, name) for name in block.keyframe.__struct_fields__ if name != "history"}
    )
    return {
        "keyframe": encode(keyframe),
        "light": encode(block.light()),
        "ends": encode(block.ends) if block.ends else b"",
        "frames": encode_frames(block.recorded),
        "history": encode(block.keyframe.history) if block.begins_segment else b"",
    }


def light(data: bytes) -> LightBlock:
    """Decode a `light` part. Like the other decoders here, raises Damaged if the bytes do not fit the schema."""
    return _decoded(_light.decode, data) if data else LightBlock()


def ends(data: bytes) -> list[tuple[int, Event]]:
    """Decode the events of ended tasks, with their places."""
    return _decoded(_ends.decode, data) if data else []


def history(data: bytes) -> History:
    """Decode what happened before the first block of a file."""
    return _decoded(_history.decode, data) if data else History()


def keyframe(data: bytes) -> Keyframe:
    """Decode a keyframe and check that its columns have the same length."""
    found = _decoded(_keyframe.decode, data)
    columns = found.tasks
    count = len(columns.seen)
    rare = [*(number for number, _ in columns.shares), *(row.id for row in columns.waits)]
    dense = (name for name in columns.__struct_fields__ if name not in ("shares", "waits"))
    lengths = (len(getattr(columns, name)) or count * (name in keyframes.OPTIONAL) for name in dense)
    if any(length != count for length in lengths) or not all(0 <= number < count for number in rare):
        raise Damaged("a keyframe does not fit together")
    return found


def recorded_frames(data: bytes) -> list[Frame]:
    """Decode the frames of a block without its events. Skips frame types that this version does not know."""
    try:
        return [*_frames.decode_lines(data)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return [frame for line in data.split(b"\n") if line and (frame := frames.decode(line)) is not None]
    except (LooptopError, RecursionError):
        raise Damaged("a block holds an invalid frame") from None


def _decoded(decode: Callable[[bytes], Decoded], data: bytes) -> Decoded:
    try:
        return decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Damaged("a block does not hold the expected data") from None
