"""Files that were cut, damaged or made up: read as far as they go, refused in one line, never a crash, a hang or a flood."""

import io
import random
import subprocess
import sys
import tempfile
import tracemalloc
import zlib
from functools import lru_cache
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scripted import Script, record

from monitor.errors import LooptopError, UsageError
from monitor.plain.export import ndjson
from monitor.protocol.frames import Tick
from monitor.protocol.keyframes import Keyframe
from monitor.recording import file_format as file_format
from monitor.recording.figures import figures
from monitor.recording.file_format import HEAD_SIZE, PARTS, Summary
from monitor.recording.metadata import about
from monitor.recording.perfetto import trace
from monitor.recording.player import RecordingSource
from monitor.recording.reader import Recording
from monitor.recording.replay_frames import walk
from monitor.store.store import Store

MOST_MEMORY = 300 << 20
"""Bytes: one part of the largest size that is read, and what little comes on top."""

often = settings(max_examples=80, deadline=None, phases=[Phase.explicit, Phase.generate])


@lru_cache
def recorded():
    with tempfile.TemporaryDirectory() as folder:
        script = Script(seed=5, slow=0.3)
        return record(Path(folder) / "a.looptop", ticks=80, script=script, moments=False).path.read_bytes()


def told(path):
    """All that a file says: its frames, and the tasks of its keyframes."""
    with Recording(path) as recording:
        state, rest = walk(recording)
        return {msgspec.json.encode(frame.tasks if isinstance(frame, Keyframe) else frame) for frame in [*state, *rest]}


@lru_cache
def truth():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.looptop"
        path.write_bytes(recorded())
        with Recording(path) as recording:
            keyframes = [recording.keyframe(number) for number in range(recording.blocks)]
        return told(path) | {msgspec.json.encode(keyframe.tasks) for keyframe in keyframes}


@pytest.fixture
def whole():
    return recorded()


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch") / "file"


def use(path):
    """Does with a file all that can be done with one. Returns the recording's problems, None if it was refused."""
    about(path)
    try:
        with Recording(path) as recording:
            recording.markers(), recording.dropped, recording.moment("0")
            for share in (0.0, 0.3, 0.7, 1.0):
                store = Store()
                for frame in recording.state(recording.start + round((recording.end - recording.start) * share))[0]:
                    store.apply(frame)
                store.measure_sites(), store.tasks.states()
            state, rest = walk(recording)
            store = Store()
            for frame in state:
                store.apply(frame)
            for frame in rest:
                store.apply(frame)
            for _ in zip(range(20_000), trace(recording), strict=False):
                pass
            for _ in zip(range(20_000), ndjson(recording), strict=False):
                pass
            player = RecordingSource(recording, clock=iter(range(0, 10_000, 3)).__next__, wall=lambda: 0.0)
            player.start()
            for _ in range(20):
                player.frames()
            player.next_marker(), player.step_by(), player.step_by(-1), player.previous_marker()
            figures(path)
            return recording.problems
    except LooptopError as error:
        assert "\n" not in str(error) and str(error)
        return None


@often
@given(st.data())
def test_cut_anywhere(scratch, data):
    whole, path = recorded(), scratch
    where = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:where])
    problems = use(path)
    assert problems is None or "was not finished: it is read up to" in problems[0]
    assert about(path) is None or not about(path).whole


def test_cut_at_the_end_of_each_block_loses_nothing_of_those_before(whole, tmp_path):
    (tmp_path / "whole").write_bytes(whole)
    with Recording(tmp_path / "whole") as recording:
        ends = [(block.place.offset + block.place.size, block.summary.end) for block in recording._blocks]
    assert len(ends) > 5
    for offset, end in ends:
        for length in (offset, offset + 1, offset + HEAD_SIZE + 3):
            (tmp_path / "cut").write_bytes(whole[:length])
            with Recording(tmp_path / "cut") as recording:
                assert (recording.end, recording.finished) == (end, False)
        (tmp_path / "cut").write_bytes(whole[: offset - 1])
        if end != ends[0][1]:
            with Recording(tmp_path / "cut") as recording:
                assert recording.end < end


@often
@given(st.data())
def test_damaged_anywhere(scratch, data):
    content, path = bytearray(recorded()), scratch
    for _ in range(data.draw(st.integers(1, 5))):
        where = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["flip", "zeros", "noise", "drop", "twice"]))
        length = data.draw(st.integers(1, 2000))
        if kind == "flip":
            content[where] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "zeros":
            content[where : where + length] = bytes(len(content[where : where + length]))
        elif kind == "noise":
            content[where : where + length] = random.Random(where).randbytes(length)
        elif kind == "drop":
            del content[where : where + length]
        else:
            content[where:where] = content[where : where + length]
        if not content:
            break
    path.write_bytes(content)
    if use(path) is not None:
        assert told(path) <= truth()  # what is damaged may hide, but never say what was not


def test_a_damaged_block_is_left_out_and_told(whole, tmp_path):
    path = tmp_path / "damaged"
    path.write_bytes(whole)
    with Recording(path) as recording:
        place, after = recording._blocks[3].place, recording._blocks[4].summary.start
    content = bytearray(whole)
    content[place.offset + place.size - 40] ^= 0xFF
    path.write_bytes(content)
    with Recording(path) as recording:
        found = [frame for part in walk(recording) for frame in part]
        assert recording.blocks > 5
        assert "are damaged and left out" in recording.problems[0]
        ticks = [frame.at for frame in found if isinstance(frame, Tick)]
        assert ticks and not [at for at in ticks if place.summary.start + 10 < at <= after]


# Made up by somebody who knows the format: checksums are right, the content is not.

NUMBERS = [0, -1, 5, 1 << 62, -(1 << 62), 1 << 52, 10**15]


def parts_of(whole, path):
    path.write_bytes(whole)
    with Recording(path) as recording:
        return [
            (block.summary, {name: file_format.read_part(block.file, block.place, name) for name in PARTS})
            for block in recording._blocks
        ]


def mutate(thing, chosen):
    """Another value somewhere in some JSON: a number that is out of range, a row too short, a list too long."""
    if isinstance(thing, dict) and thing and chosen.random() < 0.9:
        key = chosen.choice(list(thing))
        return {**thing, key: mutate(thing[key], chosen)}
    if isinstance(thing, list) and thing and chosen.random() < 0.9:
        place = chosen.randrange(len(thing))
        return [*thing[:place], mutate(thing[place], chosen), *thing[place + 1 :]]
    if isinstance(thing, bool | float | None):
        return chosen.choice([None, 1, "x"])
    if isinstance(thing, int):
        return chosen.choice([-1, 0, 1 << 62, -(1 << 62), 10**30, 5, None])
    if isinstance(thing, list):
        return thing[:-1] if chosen.random() < 0.5 else thing * 3
    return chosen.choice(["", "\x00", "é" * 500, 7])


@pytest.mark.parametrize("seed", range(60))
def test_made_up_blocks(scratch, seed):
    whole, path, chosen = recorded(), scratch, random.Random(seed)
    blocks = parts_of(whole, path)
    begin = whole[: whole.index(b"\n", whole.index(b"\n") + 1) + 1]
    made, offset, places = [begin], len(begin), []
    for summary, parts in chosen.sample(blocks, len(blocks)) if chosen.random() < 0.2 else blocks:
        if chosen.random() < 0.3:
            said = {name: getattr(summary, name) for name in summary.__struct_fields__}
            name = chosen.choice(["start", "end", "ticks", "slow", "ended", "dropped", "jump"])
            said[name] = chosen.choice([True, False]) if name == "jump" else chosen.choice(NUMBERS)
            summary = Summary(**said)
        if chosen.random() < 0.5:
            name = chosen.choice(PARTS)
            if name != "frames" and parts[name]:
                parts[name] = msgspec.json.encode(mutate(msgspec.json.decode(parts[name]), chosen))
            elif parts[name]:
                lines = parts[name].splitlines()
                place = chosen.randrange(len(lines))
                lines[place] = msgspec.json.encode(mutate(msgspec.json.decode(lines[place]), chosen))
                parts[name] = b"\n".join(lines) + b"\n"
        if chosen.random() < 0.1:
            parts[chosen.choice(PARTS)] = chosen.choice(
                [b"{}", b"[]", b"[[]]", b"null", b"[" * 100_000, b"\xff", b"{}\n{}\n"]
            )
        content = file_format.block(summary, parts)
        places.append(file_format.Place(offset=offset, size=len(content), summary=summary))
        made.append(content)
        offset += len(content)
    if chosen.random() < 0.8:
        made.append(file_format.ending(file_format.Index(places=places), offset))
    path.write_bytes(b"".join(made))
    use(path)


def packed(parts, claims=None):
    """A block of raw parts, whatever they are."""
    head = bytearray(file_format._HEAD.pack(b"LTB1", *map(len, parts), *map(zlib.crc32, parts)))
    if claims is not None:
        head = bytearray(file_format._HEAD.pack(b"LTB1", *claims, *map(zlib.crc32, parts)))
    return bytes(head) + file_format._CRC.pack(zlib.crc32(bytes(head))) + b"".join(parts)


def test_bombs_take_no_memory(whole, tmp_path, monkeypatch):
    begin = whole[: whole.index(b"\n", whole.index(b"\n") + 1) + 1]
    summary = msgspec.json.encode(Summary(start=1, end=2))
    said = zstandard.ZstdCompressor(level=19).compress(bytes(file_format.MOST_RAW + 1))
    compressor = zstandard.ZstdCompressor(level=19, write_content_size=False)
    unsaid = compressor.compress(bytes(file_format.MOST_RAW * 2))
    huge = [(1 << 32) - 1] * 6
    bombs = [
        packed([summary, said, b"", b"", b"", b""]),
        packed([summary, unsaid, said, said, said, said]),
        packed([summary, b"", b"", b"", b"", b""], [len(summary), *huge[1:]]),
        packed([summary, b"", b"", b"", b"", b""], huge),
    ]
    del said, unsaid
    tries, genuine = [], file_format._decompress

    def decompress(data, most):
        tries.append(most)
        return genuine(data, most)

    monkeypatch.setattr(file_format, "_decompress", decompress)
    for bomb in bombs:
        (tmp_path / "bomb").write_bytes(begin + bomb)
        tries.clear()
        tracemalloc.start()
        assert use(tmp_path / "bomb") is None
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
        assert len(tries) <= 1
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty: nothing was recorded"),
        (b"PK\x03\x04", "is not a looptop recording: looptop record TARGET -o FILE makes one"),
        (b"looptop-recording x\n{}\n", "is not a looptop recording"),
        (
            b"looptop-recording 2\n{}\n",
            "is a recording of format 2, this looptop reads format 1: install a newer looptop",
        ),
        (b"looptop-recording 1\n", "is cut in its first lines: nothing of it can be read"),
        (b"looptop-recording 1\n{}\n", "holds no whole block: it was cut before the first one was complete"),
        (b"looptop-recording 1\n[\n", "the heading of"),
        (b"looptop-recording 1\n" + b"[" * 200_000 + b"\n", "the heading of"),
        (b"looptop-recording 1\n" + b"x" * (2 << 20), "is cut in its first lines"),
        (b"\0" * (1 << 20), "is not a looptop recording"),
    ],
)
def test_what_can_not_be_read_gets_one_line(tmp_path, content, said):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(UsageError) as raised:
        Recording(tmp_path / "f")
    assert said in str(raised.value) and "\n" not in str(raised.value)
    about(tmp_path / "f")


def test_a_file_that_may_not_be_read(tmp_path):
    with pytest.raises(UsageError, match="is not a file: a recording is a file"):
        Recording("/dev/null")
    with pytest.raises(UsageError, match="is a folder without a recording: name a file"):
        Recording(tmp_path)


def test_no_flipped_bit_of_a_part_goes_unnoticed(whole, tmp_path):
    path = tmp_path / "f"
    path.write_bytes(whole)
    with Recording(path) as recording:
        place = recording._blocks[1].place
    for where in range(place.offset, place.offset + place.size, 3):
        content = bytearray(whole[: place.offset + place.size])
        content[where] ^= 1 << where % 8
        file = io.BytesIO(content)
        found = file_format.read_place(file, place.offset, len(content))
        if found is not None:
            assert not file_format.is_whole(file, found)
            broken = 0
            for name in PARTS:
                try:
                    file_format.read_part(file, found, name)
                except file_format.Damaged:
                    broken += 1
            assert broken == 1


# Small files that cost much: every part of every block is within its limit, and the sum is not.

COST = """
import pathlib, sys
from monitor.recording import file_format
from test_damage import use
raw, genuine = [0], file_format._decompress
def counted(data, most):
    found = genuine(data, most)
    raw[0] += len(found)
    return found
file_format._decompress = counted
def peak():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10
before = peak()
use(pathlib.Path(sys.argv[1]))
print(peak() - before, raw[0] >> 20)
"""


def costs(path):
    """MiB of memory that all uses of a file take in a process of its own, and MiB that they decompress and decode."""
    code = f"import sys; sys.path[:] = {sys.path}\n{COST}"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return map(int, done.stdout.split())


def dense(kind):
    """JSON that is small, compresses to nothing and decodes to much."""
    number = 6 << 20
    event = b'[0,{"type":"event","seq":1,"at":1,"kind":""}]'
    return {
        "light": b'{"ticks":[' + b",".join([b"[0,0,0,0,0,0,[]]"] * (number // 4)) + b"]}",
        "notes": b'{"notes":[' + b",".join([event] * (number // 12)) + b"]}",
        "ends": b"[" + b",".join([event] * (number // 12)) + b"]",
        "frames": b'{"type":"tick","at":2,"gone":[' + b",".join([b"9999"] * number) + b"]}\n",
    }[kind]


def test_small_files_cost_little(tmp_path):
    recorded_bytes = recorded()
    begin = recorded_bytes[: recorded_bytes.index(b"\n", recorded_bytes.index(b"\n") + 1) + 1]
    (_, first), *_ = parts_of(recorded_bytes, tmp_path / "whole")
    summary = Summary(start=1, end=2, ticks=3, slow=1, ended=3)
    notes, ends, frames = dense("notes"), dense("ends"), dense("frames")
    for blocks in (1, 10):
        parts = {**first, "light": notes if blocks == 1 else dense("light"), "ends": ends, "frames": frames}
        content = file_format.block(summary, parts)
        path = tmp_path / "small"
        path.write_bytes(begin + content * blocks)
        print(f"{path.stat().st_size >> 10} KiB")
        memory, decoded = costs(path)
        print(f"{memory} MiB, {decoded} MiB decoded")
        assert memory < 600 and decoded <= 45 * blocks


def test_a_million_empty_places_are_no_index(tmp_path):
    recorded_bytes = recorded()
    begin = recorded_bytes[: recorded_bytes.index(b"\n", recorded_bytes.index(b"\n") + 1) + 1]
    place = file_format.Place(offset=len(begin), size=0, summary=Summary(start=1, end=2))
    index = file_format.Index(places=[place] * 1_000_000)
    path = tmp_path / "empty"
    path.write_bytes(begin + file_format.ending(index, len(begin)))
    print(f"{path.stat().st_size >> 10} KiB")
    with path.open("rb") as file:
        assert file_format.read_index(file, path.stat().st_size) is None
    memory, decoded = costs(path)
    print(f"{memory} MiB, {decoded} MiB decoded")
    assert memory < 600 and decoded < 1
