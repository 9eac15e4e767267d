"""A disk that is too slow: whole ticks are dropped and counted, no event is lost, whoever records never waits."""

import threading

import pytest
import scripted
from scripted import Script
from test_round_trip import whole
from waiting import wait_until

from monitor.plain.stream import replayed
from monitor.recording.figures import figures
from monitor.recording.metadata import about
from monitor.recording.reader import Recording
from monitor.recording.writer import File, Recorder
from monitor.store.store import Store


class Stuck(File):
    """A file whose disk takes nothing until it is let go."""

    def __init__(self, path):
        super().__init__(path, rate=2.0)
        self.free = threading.Event()
        self.let_go = True  # by whoever records, and not because that waited for the disk

    def write(self, block):
        self.let_go &= self.free.wait(120)
        super().write(block)


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    """A recording whose disk stood still for two minutes; the moments, the disk, the recorder, the store."""
    path = tmp_path_factory.mktemp("behind") / "a.looptop"
    script, store, sink = Script(seed=9, slow=0.4), Store(), Stuck(path)
    recorder = Recorder(store, sink)
    moments = []

    def take(frames):
        for frame in frames:
            store.apply(frame)
            recorder.take(frame)

    sink.free.set()
    take(script.start())
    for number in range(300):
        if number == 20:
            sink.free.clear()
        take(script.tick())
        moments.append((script.at, store.keyframe(history=True)))
        if number == 260:
            sink.free.set()
            wait_until(lambda: recorder._queue.empty(), "the disk to catch up")
        elif sink.free.is_set():
            scripted.wait_for_writer(recorder)
    recorder.close()
    return path, moments, sink, recorder, store


def test_ticks_are_dropped_and_counted(behind):
    path, moments, _, recorder, _ = behind
    assert 100 < recorder.dropped < 240
    assert about(path).dropped == recorder.dropped
    with Recording(path) as recording:
        assert recording.dropped == recorder.dropped
        whole_ticks = sum(tick.place >= 0 for tick in recording.light_ticks())
        assert whole_ticks + recorder.dropped == recorder.ticks == len(moments) + 1


def test_whoever_records_did_not_wait(behind):
    assert behind[2].let_go


def test_events_are_all_there(behind):
    path, _, _, _, store = behind
    things = list(replayed(path, None, None, None))
    assert sum(thing["type"] == "task_ended" for thing in things) == store.ended_total
    assert sum(thing["type"] == "slow_callback" for thing in things) == sum(
        line.count for line in store.slow.lines.values()
    )
    assert sum(slow.count for slow in figures(path).slow.values()) == sum(
        line.count for line in store.slow.lines.values()
    )


def test_what_is_there_is_what_was(behind):
    path, moments, *_ = behind
    with Recording(path) as recording:
        ticks = {tick.at for tick in recording.light_ticks() if tick.place >= 0}
        there = [(at, live) for at, live in moments if at in ticks]
        assert 50 < len(there) < 250
        for at, live in there[::7]:
            store = Store()
            for frame in recording.state(at + 10)[0]:
                store.apply(frame)
            found, told = whole(store.keyframe(history=True)), whole(live)
            assert found == told
