"""Findings come when something has lasted, stay while it is near, and go when it has stayed away."""

import msgspec
import pytest
from fake_probe import hello, tick

from monitor.findings.kinds import BY_KEY, KINDS
from monitor.findings.model import Observation
from monitor.findings.rules.engine import Findings
from monitor.findings.thresholds import Thresholds
from monitor.protocol import frames
from monitor.store.store import Store


def apply(store, *told):
    for frame in told:
        store.apply(frames.decode(msgspec.json.encode(frame)))
    return store


class World:
    """A store whose clock is turned by hand, and one rule that says what it is told to."""

    def __init__(self, thresholds=None):
        self.store = apply(Store(), hello(), tick())
        self.findings = Findings(thresholds or Thresholds())
        self.findings.evaluate(self.store)
        self.observations = []
        self.findings._rules = [lambda store, thresholds: iter(self.observations)]

    def after(self, seconds, *observations):
        """The changes at a moment so much later, when the rule says this."""
        self.observations = list(observations)
        self.store.now += seconds
        return [(change.what, change.finding.observed.subject) for change in self.findings.evaluate(self.store)]


BUSY = Observation("task_busy", 7, "busy", task=7)
NEAR = Observation("task_busy", 7, "nearly busy", strong=False, task=7)
ONCE = Observation("never_retrieved", "x", "failed", at_once=True)


@pytest.fixture
def world():
    return World()


def test_it_comes_when_it_has_lasted_and_goes_when_it_has_stayed_away(world):
    assert [world.after(1, BUSY) for _ in range(6)] == [[], [], [], [], [], [("finding", 7)]]
    assert world.findings.shown()[0].since == pytest.approx(world.store.now - 5)
    assert [world.after(1) for _ in range(5)] == [[], [], [], [], [("finding_gone", 7)]]
    assert world.findings.shown() == []


def test_it_does_not_flicker(world):
    for _ in range(6):
        world.after(1, BUSY)
    for _ in range(20):
        assert world.after(1) == []
        assert world.after(3, NEAR) == []  # near the threshold keeps it
    assert len(world.findings.shown()) == 1


def test_near_the_threshold_makes_none_and_a_break_begins_anew(world):
    assert [world.after(2, NEAR) for _ in range(10)] == [[]] * 10
    world.after(2, BUSY)
    world.after(2, BUSY)
    assert world.after(2) == []
    assert [world.after(2, BUSY), world.after(2, BUSY)] == [[], []]
    assert world.after(2, NEAR) == []  # long enough, but not strong now
    assert world.after(1, BUSY) == [("finding", 7)]


def test_what_happened_is_told_at_once(world):
    assert world.after(1, ONCE) == [("finding", "x")]


def test_a_dismissed_one_stays_so_when_it_comes_again(world):
    world.after(1, ONCE)
    finding = world.findings.shown()[0]
    world.findings.dismiss(finding)
    assert world.findings.shown() == []
    assert world.findings.all() == [finding]
    assert world.after(60) == [("finding_gone", "x")]
    world.after(1, ONCE)
    assert world.findings.shown() == []
    world.findings.dismiss(world.findings.all()[0], False)
    assert len(world.findings.shown()) == 1


def test_another_session_begins_with_nothing(world):
    world.after(1, ONCE)
    world.findings.dismiss(world.findings.shown()[0])
    apply(world.store, hello(session="2" * 32))
    assert [change.what for change in world.findings.evaluate(world.store)] == ["finding_gone"]
    assert world.findings.all() == []


def test_a_recording_that_goes_back_begins_anew(world):
    world.after(10, ONCE)
    assert world.after(-5) == [("finding_gone", "x")]


def test_what_is_off_is_not_told():
    world = World(Thresholds(off=frozenset({"never_retrieved"})))
    assert world.after(1, ONCE) == []


def test_the_worst_kind_comes_first(world):
    world.after(
        1, ONCE, Observation("deadlock", 1, "", at_once=True), Observation("memory_growing", 1, "", at_once=True)
    )
    assert [finding.kind.key for finding in world.findings.shown()] == ["deadlock", "never_retrieved", "memory_growing"]


def test_the_table_of_kinds_is_whole():
    assert len(BY_KEY) == len(KINDS)
    for kind in KINDS:
        assert kind.why.endswith(".") and kind.advice.endswith(".")
        assert kind.sample and kind.known and kind.thresholds
