"""Findings of a recording are those of its moment, whichever way one came there."""

import math
import random

import pytest
from scripted import Script, record

from monitor.findings.rules.engine import Findings
from monitor.findings.rules.replay import Replay
from monitor.protocol.frames import Tick
from monitor.recording.reader import Recording
from monitor.recording.replay_frames import walk
from monitor.store.store import Store


class Careless(Script):
    """A task is collected, and a coroutine dropped, at most ticks; tasks of one line grow in number."""

    def tick(self):
        yield from super().tick()
        if self.random.random() < 0.8:
            yield self.event("unhandled", message="Task was destroyed but it is pending!", task=7, name="t-7", site=2)
        if self.random.random() < 0.2:
            yield self.event("never_awaited", coro="save", site=3, stack=[1, 2], blame=1, text="made here")
        if self.random.random() < 0.5:
            by = {"how": "call", "task": 1, "name": "killer", "site": 2, "asked": False, "through": 3}
            yield self.event("task_ended", task=9, name="w", coro="w", outcome="cancelled", site=1, cancelled_by=by)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    script = Careless(slow=0.5, failures=0.3)
    return record(tmp_path_factory.mktemp("replay") / "a.looptop", ticks=400, script=script, moments=False).path


def seen(findings):
    return [
        (one.id, one.observed.kind, one.observed.text, one.since, one.seen, one.observed.evidence)
        for one in findings.all()
    ]


def watched(path, moment):
    """What somebody sees who watches from the start."""
    with Recording(path) as recording:
        store, findings = Store(), Findings()
        first, rest = walk(recording, None, moment)
        for frame in [*first, *rest]:
            store.apply(frame)
            if isinstance(frame, Tick) and frame.loops:
                findings.evaluate(store)
        return seen(findings)


def test_the_same_findings_from_anywhere(path):
    with Recording(path) as recording:
        chosen = random.Random(5)
        moments = [recording.start + chosen.randrange(recording.end - recording.start) for _ in range(12)]
        expected = {moment: watched(path, moment) for moment in moments}
        assert any(kind == "collected_pending" for kind in (one[1] for one in expected[max(moments)]))
        replay = Replay(recording)
        for moment in [*moments, recording.end, *reversed(moments), *sorted(moments), *sorted(moments, reverse=True)]:
            found = replay.at(moment, math.inf)
            assert moment == recording.end or seen(found) == expected[moment]
        assert len(replay._checkpoints) > 5


def test_what_takes_long_is_read_in_pieces(path):
    with Recording(path) as recording:
        replay, asked = Replay(recording), 0
        while (found := replay.at(recording.end, 0.0)) is None:
            asked += 1
        assert asked > 100
        assert seen(found) == watched(path, recording.end)
