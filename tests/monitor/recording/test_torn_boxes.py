"""A black box whose program was killed in the middle of a write: what was whole before is read, and nothing else."""

from __future__ import annotations

import contextlib
import os
import random
import struct
from pathlib import Path
from typing import Any

import fake_probe
import msgspec
import pytest
from scripted import NOW

from monitor.attach import boxes
from monitor.errors import UsageError
from monitor.protocol.frames import Tick
from monitor.recording import black_box
from monitor.recording.reader import Recording, store_at
from monitor.recording.replay_frames import walk
from probes.base import protocol
from probes.blackbox import ring, steps

SIZE = 4096 + 4 * 6000
FACTS = {"session": fake_probe.hello()["session"], "pid": 4_000_000, "name": "api"}


def tick(number: int) -> bytes:
    noise = random.Random(number).randbytes(150).hex()
    facts = {"type": "static", "tasks": [[1, f"{number} {noise}", 0, 1, NOW, None, 0, 0, 0]]}
    row = fake_probe.tick(NOW + number * 1_000_000, tasks=[[1, 2, number, 0, 0, 0]])
    return b"".join(msgspec.json.encode(frame) + b"\n" for frame in (facts, row))


def write(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bytes, int | None]]:
    """Writes a box of several laps; every write that was made: place, bytes, and the tick that is whole after it."""
    writes: list[tuple[int, bytes, int | None]] = []
    real = os.pwrite

    def note(handle: int, data: Any, place: int) -> int:
        writes.append((place, bytes(data), None))
        return real(handle, data, place)

    monkeypatch.setattr(os, "pwrite", note)
    box = ring.Ring(str(path), SIZE, FACTS, 0)
    begin = msgspec.json.encode(fake_probe.hello(now=NOW)) + b"\n" + msgspec.json.encode(fake_probe.static()) + b"\n"
    segments = number = 0
    while segments < 8:
        box.begin()
        box.append(begin)
        segments += 1
        with contextlib.suppress(ring.SegmentFullError):
            while True:
                box.append(tick(number + 1))
                number += 1
                writes[-1] = (*writes[-1][:2], number)
    box.close(remove=False)
    monkeypatch.undo()
    return writes


def test_what_was_whole_is_read_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes = write(tmp_path / "box", monkeypatch)
    path, data, last, tried = tmp_path / "torn", bytearray(SIZE), 0, 0
    for number, (place, written, tick_of) in enumerate(writes):
        if number > len(writes) // 2:  # the file was written over once
            begins = written.startswith(protocol.BOX_SEGMENT)
            for cut in range(0, len(written), 1 if begins else 97):
                path.write_bytes(data[:place] + written[:cut] + data[place + cut :])
                store = store_at(path)
                assert store.tasks[1].name.split()[0] == str(last), f"write {number}, byte {cut}"
                assert store.tasks[1].steps == last
                tried += 1
        data[place : place + len(written)] = written
        last = tick_of or last
    assert tried > 100
    path.write_bytes(data)
    with Recording(path) as recording:
        state, rest = walk(recording)
        steps = [row.steps for frame in (*state, *rest) if isinstance(frame, Tick) for row in frame.tasks]
    assert steps == sorted(set(steps)) and steps[-1] == last and len(steps) > 20


class Steps:
    """A step ring that is larger than its part of the file, where each event is its number."""

    def __init__(self) -> None:
        self.written = 0
        self.recording = self

    def offset(self) -> int:
        return 7

    def trace_stats(self) -> tuple[int, int]:
        return self.written, 1000

    def trace_read(self, position: int, most: int) -> tuple[bytes, int, int, int]:
        first = max(position, self.written - 1000)
        after = min(first + most, self.written)
        return b"".join(struct.pack("<5I", *[number] * 5) for number in range(first, after)), first, after, 0


def test_steps_are_those_that_were_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "PIECE", 11)
    source, size = Steps(), 1 << 14
    box = ring.Ring(str(tmp_path / "box"), size, FACTS, 1000 * 20)
    copy = steps.StepCopy(source)  # type: ignore[arg-type]
    assert box.events == (size // 4) // 20
    writes: list[tuple[int, bytes]] = []
    monkeypatch.setattr(os, "pwrite", lambda _, data, place: writes.append((place, bytes(data))) or len(data))
    chance, noted = random.Random(5), [0]
    for new in (1, 0, 3, 150, 60, *(chance.choice((1, 7, 30, 90, 204, 205, 999, 2000)) for _ in range(30))):
        source.written += new
        copy.copy(box)
        noted.append(source.written)
    monkeypatch.undo()
    box.close(remove=False)
    data = bytearray((tmp_path / "box").read_bytes().ljust(size, b"\0"))
    heading = boxes.inspect(tmp_path / "box").heading
    for place, written in writes:
        for cut in range(0, len(written) + 1, 13):
            found = list(black_box.steps_of(bytes(data[:place] + written[:cut] + data[place + cut :]), heading))
            numbers = [number for frame in found for number, *_ in struct.iter_unpack("<5I", frame.events)]
            assert numbers == list(range(numbers[0], numbers[-1] + 1)) if numbers else True
            assert not numbers or (numbers[-1] + 1 in noted and found[0].from_ == numbers[0])
        data[place : place + len(written)] = written
    assert numbers[-1] + 1 == source.written and len(numbers) == box.events


def test_a_box_that_was_never_written_to_is_one_line(tmp_path: Path) -> None:
    ring.Ring(str(tmp_path / "box"), SIZE, FACTS, 0).close(remove=False)
    with pytest.raises(UsageError, match="holds nothing yet"):
        Recording(tmp_path / "box")
