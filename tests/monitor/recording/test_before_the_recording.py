"""What a probe remembers from before a recording is told as past, and is no part of the recording's figures."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted import NOW, Script, frame, record

from monitor.errors import UsageError
from monitor.findings.rules.engine import Findings
from monitor.findings.thresholds import Thresholds
from monitor.flame.load import SLOW, from_recorded_set, from_recording
from monitor.plain import recorded_set, stream
from monitor.plain.findings import watched
from monitor.recording.of_set import open_set

SECOND = 1_000_000


class AlwaysOn(Script):
    """Blocked for 2 s at each of six times in the minute before; tells two of them a tick. Later for `own` s, once."""

    own = 0.0
    sampled = False

    def tick(self):
        self.at += SECOND // 2
        number = (self.at - NOW) * 2 // SECOND
        for ago in (75 - 20 * number, 65 - 20 * number) if number <= 3 else ():
            yield self.blocked(NOW - ago * SECOND, 2.0)
        flame = {"flame": {"samples": 50, "idle": SECOND // 2}} if self.sampled else {}
        yield frame(type="tick", at=self.at, loops=[[1, 1000, 1000 * number, 0, 0, number, None, 0]], **flame)
        if self.own and number == 12:
            yield self.blocked(self.at - 1000, self.own)

    def blocked(self, at, seconds):
        self.seq += 1
        said = {"task": 1, "name": "w", "callback": "w", "stack": [2, 4], "blame": 0}
        duration = round(seconds * SECOND)
        return frame(type="event", seq=self.seq, at=at, kind="slow_callback", loop=1, duration=duration, **said)


def recorded(path: Path, own: float = 0.0, *, sampled: bool = False) -> Path:
    script = AlwaysOn()
    script.own, script.sampled = own, sampled
    return record(path, ticks=30, script=script, moments=False).path


def blocks(things):
    return [(round(one["time"] - NOW / SECOND), one.get("past")) for one in things if one["type"] == "slow_callback"]


@pytest.mark.parametrize("own", [0.0, 3.0])
def test_what_is_older_than_the_recording_is_past_and_comes_first(tmp_path, own):
    path = recorded(tmp_path / "a", own)
    findings = Findings(Thresholds())
    things = list(stream.replayed(path, None, None, None, findings))
    old = [(-55, True), (-45, True), (-35, True), (-25, True), (-15, True), (-5, True)]
    assert blocks(things) == old + ([(6, None)] if own else [])
    assert [one["type"] for one in things[:5]] == ["slow_callback"] * 5
    assert [one["time"] for one in things] == sorted(one["time"] for one in things)
    assert not blocks(stream.replayed(path, "1s", None, None))[1:]
    texts = [one["text"] for one in things if one["type"] == "finding"]
    assert len(texts) == bool(own) and all("3.00s, in #1 w" in text for text in texts)


def test_flame_graphs_have_the_slow_callbacks_of_the_recording(tmp_path):
    found = from_recording(recorded(tmp_path / "own", 3.0))
    assert found.kind == SLOW and sum(seconds for _, _, seconds in found.stacks) == pytest.approx(3.0)
    with pytest.raises(UsageError, match="no samples for a flame graph: record with --flame"):
        from_recording(recorded(tmp_path / "none"))


def test_a_recording_of_a_program_that_rested_is_not_told_to_record_samples(tmp_path):
    path = recorded(tmp_path / "worker-0-5.looptop", sampled=True)
    for read in (lambda: from_recording(path), lambda: from_recorded_set(open_set(tmp_path))):
        with pytest.raises(UsageError, match="no samples of that kind"):
            read()


def test_a_worker_joins_a_set_after_its_past(tmp_path):
    recorded(tmp_path / "worker-1-5.looptop")
    found = open_set(tmp_path)
    kinds = [one["type"] for one in recorded_set.replayed(found, None, None, None, Thresholds())]
    assert kinds[:7] == ["slow_callback"] * 6 + ["worker_started"]
    assert not recorded_set.found_in(found, None, None, Thresholds()).found


def test_nobody_is_asked_to_watch_a_recording_for_longer():
    class Observed(Findings):
        def pending(self):
            return [("tasks wait", 10.0)]

    assert watched([], Observed()).notes == ["not reported yet: tasks wait must last for 10 s (see --duration)"]
    assert watched([], Observed(), live=False).notes == []
