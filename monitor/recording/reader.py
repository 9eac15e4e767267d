"""Reads a recording: opens fast, seeks anywhere, skips damaged parts and reports them.

A directory (the segments of a flight recorder) is read as one recording.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from monitor.attach import boxes
from monitor.errors import UsageError
from monitor.protocol.frames import Event, Frame
from monitor.protocol.keyframes import History, Keyframe
from monitor.recording import black_box, block_codec, prior_state
from monitor.recording import file_format as file_format
from monitor.recording.block_codec import LightBlock, LightTick
from monitor.recording.file_format import Damaged, Marker, Place, Summary
from monitor.recording.frame_merge import Between, Decoded, merge
from monitor.recording.ring import folder_of
from monitor.recording.time_parsing import clock, parse_time
from monitor.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

MOST_SEGMENTS = 1000
KEPT = 4
"""Number of decoded blocks that are cached."""

KEPT_ENDS = 200

MOST_KEPT = 256 << 20
"""Limit in bytes of the cached frames, and of the cached ends. The block being read is always cached."""

MOST_LIGHT = 512 << 20
"""Limit in bytes of the figures of all blocks, which stay cached since they are read again and again."""


@dataclass(slots=True)
class _Block:
    file: BinaryIO
    place: Place
    light: LightBlock | None = None
    weights: dict[str, int] = field(default_factory=dict)  # bytes in memory by name of the parts read

    @property
    def summary(self) -> Summary:
        return self.place.summary


class Recording:
    """An open recording. Times are Unix microseconds of the watched program."""

    def __init__(self, path: str | Path) -> None:
        """Open a file or directory. Raises UsageError if it is not a recording, or an empty one."""
        self.path = Path(path)
        self.facts: dict[str, Any] = {}
        self.problems: list[str] = []  # damaged or missing parts, one line each
        self.finished = True
        self.reason = ""
        self.from_box = False
        self._files: list[BinaryIO] = []
        self._blocks: list[_Block] = []
        self._decoded: dict[int, Decoded] = {}
        self._ends: dict[int, list[tuple[int, Event]]] = {}
        self._before: History | None = None
        self._light = 0  # bytes of the cached figures
        self._budget = file_format.LEAST_BUDGET
        try:
            for segment in _segments(self.path):
                self._open(segment)
            if not self._blocks:
                raise UsageError(f"{self.path} holds no whole block", "it was cut before the first one was complete")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the recording's files."""
        for file in self._files:
            file.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, path: Path) -> None:
        try:
            if boxes.is_box(path):
                file = black_box.converted(path)
                self.from_box = True
                size = file.seek(0, os.SEEK_END)
                file.seek(0)
            else:
                file = path.open("rb")
                size = path.stat().st_size
            self._files.append(file)
            self._budget += file_format.BUDGET * size
            facts = file_format.read_heading(file, path)
        except OSError as error:
            raise UsageError(f"{path} cannot be read", error.strerror or str(error)) from None
        if self.facts and facts.get("session") != self.facts.get("session"):
            self.problems.append(f"{path.name} is of another session and left out")
            return
        self.facts = self.facts or facts
        begin = file.tell()
        index = file_format.read_index(file, size)
        if index is not None:
            self.reason = index.reason
            self._blocks += [_Block(file, place) for place in index.places]
            return
        self.finished = False
        found = list(_scan(file, begin, size))
        while found and not file_format.is_whole(file, found[-1]):
            found.pop()
        self._blocks += [_Block(file, place) for place in found]
        if self._blocks:
            end = clock(self._blocks[-1].summary.end)
            self.problems.append(
                f"{path.name} was not finished: it is read up to {end}, the end of its last whole block"
            )

    # Facts

    @property
    def start(self) -> int:
        """Time of the first tick, in microseconds since the epoch."""
        return self._blocks[0].summary.start

    @property
    def end(self) -> int:
        """Time of the last tick, in microseconds since the epoch."""
        return max(self._blocks[-1].summary.end, self.start)

    @property
    def duration(self) -> float:
        """Seconds from start to end."""
        return (self.end - self.start) * 1e-6

    @property
    def dropped(self) -> int:
        """Number of ticks that the recorder dropped."""
        return sum(block.summary.dropped for block in self._blocks)

    @property
    def summaries(self) -> list[Summary]:
        """The summaries of all blocks, in order of time."""
        return [block.summary for block in self._blocks]

    def markers(self) -> list[Marker]:
        """Return all markers in order of time."""
        return sorted((m for block in self._blocks for m in block.summary.markers), key=lambda marker: marker.at)

    def light_ticks(self) -> Iterator[LightTick]:
        """Yield the figures of every complete tick; damaged blocks have none."""
        for number in range(len(self._blocks)):
            yield from self.light(number).ticks

    def notes(self) -> Iterator[Event]:
        """Yield slow callbacks, unhandled exceptions and notices in order of time."""
        for number in range(len(self._blocks)):
            for _, event in self.light(number).notes:
                yield event

    def moment(self, text: str | float) -> int:
        """Parse the time of `--at T`:

        seconds since the start (`90`, `90s`, `2m`), or a clock time. Raises UsageError. A number is Unix time, clamped.
        """
        if not isinstance(text, str):
            return min(max(round(text * 1e6), self.start), self.end)
        return self.start + round(parse_time(text, self.start * 1e-6, self.duration) * 1e6)

    # Seeking

    def state(self, at: int) -> tuple[list[Frame], int, int]:
        """Return the frames that rebuild the store as it was at a time, and the block and frame number that follow."""
        while True:
            number = self.block_at(at)
            try:
                keyframe, decoded = self.keyframe(number), self.decoded(number)
            except Damaged:
                self.leave_out(number)
                continue
            count = decoded.count_until(at)
            return [keyframe, *decoded.frames[:count]], number, count

    def block_at(self, at: int) -> int:
        """Return the number of the block that contains a time."""
        return max(bisect_right(self._blocks, at, key=lambda block: block.summary.start) - 1, 0)

    @property
    def blocks(self) -> int:
        """How many blocks can be read."""
        return len(self._blocks)

    def summary(self, number: int) -> Summary:
        """Return the summary of block `number`."""
        return self._blocks[number].summary

    def carried(self, number: int) -> list[Event]:
        """Return the events of ticks dropped before a block, in order of time."""
        events = [*self.light(number).notes, *self.ends(number)]
        return sorted((event for place, event in events if place < 0), key=lambda event: event.seq)

    def follows(self, number: int) -> bool:
        """Whether a block continues exactly where the previous one ended."""
        return 0 < number < len(self._blocks) and not self._blocks[number].summary.jump

    def decoded(self, number: int) -> Decoded:
        """Decode the frames of a block. Raises Damaged."""
        found = self._decoded.get(number)
        if found is None:
            block = self._blocks[number]
            recorded = block_codec.recorded_frames(self._read(block, "frames"))
            if block.light is None:
                self._read_light(block)
            assert block.light is not None
            between: list[tuple[int, Between]] = [*block.light.notes, *block.light.past, *self.ends(number)]
            found = merge(recorded, between, block.summary.start)
            self._make_room(self._decoded, KEPT, "frames")
            self._decoded[number] = found
        return found

    def keyframe(self, number: int) -> Keyframe:
        """Decode the keyframe of a block, with the history before it. Raises Damaged."""
        block = self._blocks[number]
        bare = block_codec.keyframe(self._read(block, "keyframe"))
        return msgspec.structs.replace(bare, history=prior_state.before(self, number, [loop.id for loop in bare.loops]))

    def first_history(self) -> History:
        """Return the history from before the recording began."""
        if self._before is None:
            block = self._blocks[0]
            try:
                self._before = block_codec.history(self._read(block, "history"))
            except Damaged:
                self.problems.append("the history before the recording is damaged and omitted")
                self._before = History()
        return self._before

    def light(self, number: int) -> LightBlock:
        """Return the figures and events of a block, without ended tasks. Empty if the block is damaged."""
        block = self._blocks[number]
        if block.light is None:
            try:
                self._read_light(block)
            except Damaged:
                self._report_damage(block)
                block.light = LightBlock()
        assert block.light is not None
        return block.light

    def _read_light(self, block: _Block) -> None:
        data = self._read(block, "light")
        if self._light + block.weights["light"] > MOST_LIGHT:
            raise Damaged("there are more figures than are kept")
        self._light += block.weights["light"]
        block.light = block_codec.light(data)

    def _read(self, block: _Block, name: str) -> bytes:
        """Read a part of a block.

        Raises Damaged if the block, or all that was read so far, exceeds its memory limit.
        """
        before = block.weights.get(name, 0)
        room = min(self._budget, file_format.MOST_BLOCK - sum(block.weights.values())) + before
        data = file_format.read_part(block.file, block.place, name, room)
        found = file_format.weight(data)
        if found > room:
            raise Damaged("a block holds more than any that is written")
        self._budget += before - found
        block.weights[name] = found
        return data

    def _make_room(self, kept: dict[int, Any], most: int, name: str) -> None:
        """Evict the oldest cached blocks."""
        while kept:
            weight = sum(self._blocks[number].weights.get(name, 0) for number in kept)
            if len(kept) < most and weight <= MOST_KEPT:
                return
            del kept[next(iter(kept))]

    def ends(self, number: int) -> list[tuple[int, Event]]:
        """Return the tasks that ended in a block, with their places. Empty if the block is damaged."""
        found = self._ends.get(number)
        if found is None:
            block = self._blocks[number]
            try:
                found = block_codec.ends(self._read(block, "ends"))
            except Damaged:
                self._report_damage(block)
                found = []
            self._make_room(self._ends, KEPT_ENDS, "ends")
            self._ends[number] = found
        return found

    def leave_out(self, number: int) -> None:
        """Drop a damaged block and add it to `problems`. Raises UsageError if no block is left."""
        self._report_damage(self._blocks[number])
        del self._blocks[number]
        if number < len(self._blocks):
            after = self._blocks[number].place
            summary = msgspec.structs.replace(after.summary, jump=True)
            self._blocks[number].place = msgspec.structs.replace(after, summary=summary)
        self._decoded.clear()
        self._ends.clear()
        if not self._blocks:
            raise UsageError(f"all of {self.path} is damaged", "nothing of it can be read")

    def _report_damage(self, block: _Block) -> None:
        summary = block.summary
        text = f"{(summary.end - summary.start) * 1e-6:.0f} s from {clock(summary.start)} on are damaged and left out"
        if text not in self.problems:
            self.problems.append(text)


def store_at(path: str | Path, at: str | float | None = None) -> Store:
    """Return the store of a recording at `--at T`, at a Unix time, or at its end. Raises UsageError."""
    with Recording(path) as recording:
        store = Store()
        for frame in recording.state(recording.end if at is None else recording.moment(at))[0]:
            store.apply(frame)
        for problem in recording.problems:
            store.note(problem)
        return store


def _segments(path: Path) -> list[Path]:
    try:
        if path.is_dir():
            found = sorted(path.glob("*.segment"))[:MOST_SEGMENTS]
            if not found:
                raise UsageError(f"{path} is a folder without a recording", "name a file")
            return [segment for segment in found if segment.stat().st_size]
        if not path.exists():
            ring = folder_of(path)
            hint = f"its flight recorder was not ended: try {ring}" if ring.is_dir() else ""
            raise UsageError(f"no such file: {path}", hint)
        if not path.is_file():
            raise UsageError(f"{path} is not a file", "a recording is a file")
    except OSError as error:
        raise UsageError(f"{path} cannot be read", error.strerror or str(error)) from None
    return [path]


def _scan(file: BinaryIO, offset: int, size: int) -> Iterator[Place]:
    while (place := file_format.read_place(file, offset, size)) is not None:
        yield place
        offset += place.size
