"""The flight recorder over minutes, with a clock of its own: what it keeps, what it finishes, what it never does."""

import os

import pytest
from scripted import NOW, Script, frame, record

from monitor.errors import UsageError
from monitor.recording.metadata import about
from monitor.recording.reader import Recording
from monitor.recording.ring import Ring
from monitor.recording.triggers import Triggers
from monitor.store.store import Store


def fly(tmp_path, seconds, ticks, script=None, on=(), watch=None, **how):
    path = tmp_path / "f.looptop"
    ring = Ring(path, seconds, rate=2.0, **how)
    if watch is not None:
        write = ring.write
        ring.write = lambda block: (write(block), watch(ring))
    made = record(
        path,
        ticks=ticks,
        script=script,
        sink=ring,
        moments=False,
        triggers=Triggers(on, seconds),
        segment=ring.segment,
    )
    return made, ring


def size_of(ring):
    return sum(file.stat().st_size for file in ring.directory.iterdir())


def test_it_keeps_its_time_and_not_much_more(tmp_path):
    spans, sizes = [], []

    def watch(ring):
        found = about(ring.directory)
        spans.append(found.duration)
        sizes.append(size_of(ring))
        if len(spans) % 10 == 0:
            with Recording(ring.directory) as recording:  # readable at any moment, whole or not
                assert recording.duration == pytest.approx(found.duration)

    made, ring = fly(tmp_path, 100.0, 600, watch=watch)
    assert 100 < max(spans) < 100 + 2 * ring.segment + 10
    assert min(spans[len(spans) // 2 :]) >= 100
    assert max(sizes) < 2.5 * min(sizes[len(sizes) // 2 :])
    found = about(made.path)
    assert found.whole and 100 <= found.duration < 130
    assert found.start + found.duration == pytest.approx(NOW / 1e6 + 300.5, abs=0.1)
    assert not ring.directory.exists()


def test_its_bytes_are_bounded_too(tmp_path):
    sizes = []
    fly(
        tmp_path,
        3600.0,
        3000,
        most_bytes=100_000,
        script=Script(tasks=60),
        watch=lambda ring: sizes.append(size_of(ring)),
    )
    assert 80_000 < max(sizes) < 110_000


class Blocks(Script):
    """Nothing slow, but for one callback each minute."""

    slow = 0.0

    def _happens(self):
        minute = (self.at - NOW) % 60_000_000 == 0
        return [self.slow_callback(2_000_000)] if minute else super()._happens()


def test_a_file_for_each_time_with_thirty_seconds_of_what_follows(tmp_path):
    made, ring = fly(tmp_path, 60.0, 560, script=Blocks(slow=0.0), on=["slow:1s"])
    assert [why for _, why in ring.finished] == ["#1 w blocked for 2.00s"] * 4
    for number, (path, _) in enumerate(ring.finished, 1):
        with Recording(path) as recording:
            assert recording.finished and not recording.problems
            event = NOW + number * 60_000_000
            assert 30 <= (recording.end - event) * 1e-6 < 32
            assert (event - recording.start) * 1e-6 >= 29
            assert recording.reason == "#1 w blocked for 2.00s"
            assert [marker.kind for marker in recording.markers() if marker.kind == "slow"]
    assert about(made.path).whole


def test_what_happens_all_the_time_does_not_fill_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("monitor.recording.ring.MOST_FILES", 3)
    _, ring = fly(tmp_path, 30.0, 400, script=Script(slow=1.0), on=["slow:10ms"])
    assert len(set(ring.finished)) == 3
    assert ring.unfinished >= 2
    assert len(list(tmp_path.glob("f*"))) == 3 + 1


@pytest.mark.parametrize(
    ("word", "bytes_grown", "fires"), [("growth:10MB", 11 << 20, True), ("growth:10MB", 9 << 20, False)]
)
def test_growth_is_over_the_least_of_the_time(word, bytes_grown, fires):
    triggers, store = Triggers([word], 60.0), Store()
    store.apply(Script().hello())
    for number in range(100):
        rss = (50 << 20) + bytes_grown * number // 99
        tick = frame(type="tick", at=NOW + number * 500_000, process={"rss": rss})
        store.apply(tick)
        triggers.check(tick, store)
    assert (triggers.pending is not None) == fires
    slow = Triggers([word], 10.0)  # the same growth, but slower than the time that is looked at
    for number in range(1000):
        tick = frame(type="tick", at=NOW + number * 500_000, process={"rss": (50 << 20) + (11 << 20) * number // 999})
        store.apply(tick)
        slow.check(tick, store)
    assert slow.pending is None


def test_what_was_before_the_recorder_came_is_no_reason(tmp_path):
    script, triggers, store = Script(), Triggers(["failed", "slow:1ms"], 60.0), Store()
    old = script.slow_callback(500_000)
    script.at += 60_000_000
    for one in (script.hello(), old):
        store.apply(one)
        triggers.check(one, store)
    assert triggers.pending is None


def test_a_full_disk_ends_it_and_leaves_the_segments(tmp_path, monkeypatch):
    written, real = [0], os.write

    def write(fd, data):
        if os.fstat(fd).st_size > 0 and written[0] > 120_000:
            raise OSError(28, "No space left on device")
        written[0] += len(data)
        return real(fd, data)

    monkeypatch.setattr("monitor.recording.writer.os.write", write)
    made, ring = fly(tmp_path, 60.0, 600)
    assert made.recorder.problem == "No space left on device"
    with Recording(ring.directory) as recording:
        assert recording.duration > 20


@pytest.mark.parametrize("word", ["slow", "slow:", "slow:1h", "failed:1", "growth:", "growth:1TB", "x"])
def test_what_is_no_trigger(word):
    with pytest.raises(UsageError, match="is not a trigger: one of slow:1s, failed, growth:100MB"):
        Triggers([word], 60.0)
