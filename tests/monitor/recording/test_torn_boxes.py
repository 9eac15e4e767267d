"""A black box whose program was killed in the middle of a write: what was whole before is read, and nothing else."""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path
from typing import Any

import fake_probe
import msgspec
import pytest
from scripted import NOW

from monitor.errors import UsageError
from monitor.protocol.frames import Tick
from monitor.recording.reader import Recording, store_at
from monitor.recording.replay_frames import walk
from probes.base import protocol
from probes.blackbox import ring

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
    box = ring.Ring(str(path), SIZE, FACTS)
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


def test_a_box_that_was_never_written_to_is_one_line(tmp_path: Path) -> None:
    ring.Ring(str(tmp_path / "box"), SIZE, FACTS).close(remove=False)
    with pytest.raises(UsageError, match="holds nothing yet"):
        Recording(tmp_path / "box")
