"""Converts a black box to a recording in memory: applies its frames to a store and cuts them into blocks."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO

from monitor.attach import boxes
from monitor.errors import LooptopError, UsageError
from monitor.protocol import frames
from monitor.recording import block_codec, file_format
from monitor.recording.blocks import Block, Collector, facts
from monitor.recording.file_format import Marker
from monitor.store.store import Store
from probes.base import protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_ENTRY = 16 << 20
"""Limit of one entry, decompressed, in bytes."""
LEAST_BUDGET, BUDGET = 64 << 20, 40
"""Limit of all entries together, decompressed: the larger of a number of bytes and a multiple of the file's size
(real boxes decompress to 3 to 10 times their size)."""
MOST_NAMES = 20_000
LEVEL = 1
"""Compression level: low, since the blocks are read again at once."""

_SEGMENT = struct.Struct("<4sIQ")
_ENTRY = struct.Struct("<II")
_STEPS = struct.Struct("<QQq")
PIECE = 8000
"""Events in a frame."""


class _Budget:
    def __init__(self, size: int) -> None:
        self.left = LEAST_BUDGET + BUDGET * size


def converted(path: Path) -> BinaryIO:
    """Return a box as a recording. Raises UsageError if it cannot be read, and OSError."""
    box = boxes.inspect(path)
    with path.open("rb") as file:
        data = file.read(boxes.LARGEST)
    output = _Output()
    reader = _Reader(output)
    budget = _Budget(len(data))
    for number, start in _segments(data, box.heading):
        end = min(start + box.heading.segment, len(data))
        try:
            for lines in _entries(data, start, end, number, budget):
                reader.take(lines)
        except LooptopError:
            continue  # damaged; the next segment begins anew
    reader.finish(None if box.ended is None else box, list(steps_of(data, box.heading)))
    if not output.places:
        raise UsageError(f"{path} holds nothing yet", "its program ended before the first tick")
    return output.finish(box.how)


def _segments(data: bytes, heading: boxes.Heading) -> list[tuple[int, int]]:
    """Return the number and offset of each segment, oldest first."""
    found = []
    for place in range(heading.segments):
        start = protocol.BOX_HEADING + place * heading.segment
        if start + _SEGMENT.size > len(data):
            break
        magic, crc, number = _SEGMENT.unpack_from(data, start)
        if magic == protocol.BOX_SEGMENT and crc == zlib.crc32(number.to_bytes(8, "little")):
            found.append((number, start))
    return sorted(found)


def _entries(data: bytes, start: int, end: int, number: int, budget: _Budget) -> Iterator[bytes]:
    """Yield the entries of a segment up to the first incomplete one; what follows is left from an older lap.

    Raises LooptopError if the entries exceed the budget.
    """
    at = start + _SEGMENT.size
    while at + _ENTRY.size <= end:
        length, crc = _ENTRY.unpack_from(data, at)
        at += _ENTRY.size
        content = data[at : at + length]
        if not 0 < length <= end - at or zlib.crc32(content, number & 0xFFFFFFFF) != crc:
            return
        at += length
        if content.startswith(b"{"):
            lines = content
        else:
            unpacker = zlib.decompressobj()
            try:
                lines = unpacker.decompress(content, min(MOST_ENTRY, max(budget.left, 1)))
            except zlib.error:
                raise LooptopError("an entry is damaged") from None
            if not unpacker.eof:
                raise LooptopError("an entry is larger than any that is written")
        budget.left -= len(lines)
        if budget.left < 0:
            raise LooptopError("the box holds more than any that is written")
        yield lines


def steps_of(data: bytes, heading: boxes.Heading) -> Iterator[frames.Steps]:
    """Yield the events of the step ring in pieces; none if they were being written when the program ended."""
    start = protocol.BOX_HEADING + heading.segments * heading.segment
    begin = start + protocol.BOX_STEPS_HEADING
    noted = data[start : start + len(protocol.BOX_STEPS) + 4 + _STEPS.size]
    room = heading.events
    if not room or len(noted) < len(protocol.BOX_STEPS) + 4 + _STEPS.size or not noted.startswith(protocol.BOX_STEPS):
        return
    facts = noted[-_STEPS.size :]
    if zlib.crc32(facts) != int.from_bytes(noted[4:8], "little"):
        return
    oldest, after, offset = _STEPS.unpack(facts)
    size = protocol.STEP_EVENT
    if not oldest <= after <= min(oldest + room, 1 << 62) or abs(offset) > 1 << 62:
        return
    while oldest < after:
        place = oldest % room
        number = min(PIECE, after - oldest, room - place)
        events = data[begin + place * size : begin + (place + number) * size]
        if len(events) < number * size:
            return
        yield frames.Steps(offset=offset, from_=oldest, to=oldest + number, events=events)
        oldest += number


class _Output:
    """A recording in memory, with the interface of `writer.File`."""

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self.places: list[file_format.Place] = []

    def write(self, block: Block) -> None:
        if not self.places:
            self._file.write(file_format.heading(facts(block.keyframe, None)))
        summary = block.summary()
        data = file_format.block(summary, block_codec.parts(block), LEVEL)
        self.places.append(file_format.Place(offset=self._file.tell(), size=len(data), summary=summary))
        self._file.write(data)

    def finish(self, reason: str) -> BinaryIO:
        index = file_format.Index(places=self.places, reason=reason)
        self._file.write(file_format.ending(index, self._file.tell()))
        self._file.seek(0)
        return self._file


class _Reader:
    """Applies frames to a store and cuts them into blocks."""

    def __init__(self, output: _Output) -> None:
        self._output = output
        self._store = Store()
        self._collector = Collector(self._store)
        self._begun: list[frames.Frame] = []  # of the segment, until all tasks have come
        self._first = True
        self._places: list[int] = []  # what the numbers in step events mean
        self._names: dict[int, str] = {}

    def take(self, lines: bytes) -> None:
        for line in lines.splitlines():
            if len(line) > protocol.MAX_FRAME:
                raise LooptopError("a frame is larger than any that is written")
            frame = frames.decode(line)
            if frame is not None:
                self._take(frame)

    def _take(self, frame: frames.Frame) -> None:
        session = self._store.session
        if isinstance(frame, frames.Steps):
            self._take_names(frame)
            return
        if isinstance(frame, frames.Hello):
            if session is not None and session.id != frame.session:
                raise LooptopError("a segment is of another program")
            self._begun = [frame]
            return
        if self._begun:
            self._begun.append(frame)
            if isinstance(frame, frames.Tick) and frame.loops and not frame.left:
                self._enter()
            return
        if session is None:
            raise LooptopError("a segment does not begin with hello")
        self._store.apply(frame)
        if self._collector.add(frame):
            self._cut()
            self._collector.begin()

    def _enter(self) -> None:
        """Go on with the segment that has begun: all tasks are in it now."""
        self._cut()
        for frame in self._begun:
            self._store.apply(frame)
        self._collector.begin(segment=self._first, jump=not self._first)
        if not self._first:
            self._collector.add_missed([frame for frame in self._begun if isinstance(frame, frames.Event)])
        self._first = False
        self._begun = []

    def _cut(self) -> None:
        block = self._collector.block
        if block is not None:
            self._output.write(block)
            self._collector.block = None

    def _take_names(self, frame: frames.Steps) -> None:
        places = frame.places
        if places is not None:
            del self._places[max(places.from_, 0) :]
            self._places += places.items
        for number, name in frame.names:
            self._names.pop(number, None)
            self._names[number] = name

    def _add_steps(self, steps: list[frames.Steps]) -> None:
        """Add the step events that the box holds, after what their numbers mean."""
        names = list(self._names.items())[-MOST_NAMES:]
        places = frames.Places(0, self._places)
        self._collector.add(frames.Steps(offset=0, from_=0, to=0, places=places, names=names))
        for frame in steps:
            self._collector.add(frame)

    def finish(self, dead: boxes.Box | None, steps: list[frames.Steps]) -> None:
        """Write the last block, with the steps and a marker at the end of the program."""
        if self._begun and self._first:
            self._enter()
        # Of a later segment without all tasks only the events are news: the tasks before it are as they last were.
        for frame in self._begun:
            if isinstance(frame, frames.Event):
                self._store.apply(frame)
                self._collector.add(frame)
        if steps:
            self._add_steps(steps)
        block = self._collector.block
        if block is not None and dead is not None:
            text = f"the program {'' if dead.how.startswith('ended') else 'ended: '}{dead.how}"
            block.markers.append(Marker(max(block.end, block.keyframe.at), "end", text))
        self._cut()
