"""Each word of the vocabulary against what was seen: met, missed, and what was seen instead."""

from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import replace

from monitor.samples.findings import SeenFinding
from monitor.samples.judge import judge
from monitor.samples.observation import Life, LoopFigures, Observation, WaitSnapshot
from monitor.store.label_groups import Distribution, LabelGroup
from monitor.store.memory import MemoryRow, MemorySnapshot
from monitor.store.model import CancelledBy, EndedTask, Failure, Site, SlowCallback, TaskDetail, Unhandled, Wait
from monitor.store.store import Store
from monitor.trace import timeline
from monitor.trace.collect import Trace
from monitor.trace.events import Kind
from sample_apps import vocabulary as words
from sample_apps.catalogue import Sample

SOURCE = "first = 1  # expect: here\nsecond = 2  # expect: there\n"
HERE, THERE = Site("/s/it.py", 1, "f"), Site("/s/it.py", 2, "g")
ELSEWHERE = Site("/s/other.py", 1, "f")
BY_THE_BOSS = CancelledBy("call", 1, "boss", HERE, True)


def slow(seq=1, duration=0.3, task=1, name="worker-1", stack=(ELSEWHERE, HERE)):
    return SlowCallback(seq, 1.0, duration, 1, task, name, "call()", stack, len(stack) - 1, 1)


def late(at):
    """A trace in which a task waits 50 ms for a lock that another one releases."""
    trace = Trace(Store())
    lock = Site("/usr/lib/python3.11/asyncio/locks.py", 100, "Lock.acquire")
    lives = trace.timeline.lives
    for number, name in ((1, "holder"), (2, "worker-1")):
        lives[number] = timeline.Life(number, name, "work", born=0)
        lives[number].steps.append(timeline.Run(1, number, 0, 0, 1_000_000, Kind.STEP_BORN, 0))
    lives[1].steps.append(timeline.Run(1, 1, 50_000_000, 50_000_000, 52_000_000, Kind.STEP_TIMER, 0))
    lives[2].steps.append(timeline.Run(1, 2, 51_000_000, 52_000_000, 53_000_000, Kind.STEP_TASK, 1))
    lives[2].waits.append(timeline.Wait(51_000_000, lock, at, HERE))
    return trace


def ended(number=10, name="order-1", outcome="done", age=0.5, failure=None, busy=0.0):
    return EndedTask(number, name, "order", outcome, 2.0, age, busy, 0.0, 3, 0.0, HERE, 1, 1, failure)


def detail(number, kind="lock", text="Lock(locked)", stack=(HERE, THERE), awaited_by=(), **facts):
    return TaskDetail(number, tuple(stack), (), Wait(kind, text, facts), tuple(awaited_by), None, None, None)


def group(ended, failed):
    return LabelGroup(1, "serve", "GET /a", HERE, ended=ended, failed=failed, age=Distribution((300,), (ended,)))


def life(name, parent=0, site=HERE, steps=30, busy=0.1, eager=False, first=0.0, last=3.0):
    return Life(name, site, parent, eager, first, last, steps, busy)


def look(at, *details, tasks=None):
    by_id = {one.id: one for one in details}
    return WaitSnapshot(at, frozenset(by_id if tasks is None else tasks), by_id)


def memory(size_diff, site=HERE):
    row = MemoryRow((site,), size_diff, size_diff, 1, 1, None)
    nothing = (0, 0, 0, 0)
    total = (size_diff, size_diff, 1, 1)
    return MemorySnapshot(
        3.0, 1, 0.0, 0.0, 1, 1, 0, None, "baseline", 1.0, "lineno", 1, 1, (row,), total, nothing, nothing
    )


def growing(*counts):
    """Looks every half second at so many tasks of one site."""
    lives = {number: life(f"leak-{number}") for number in range(1, max(counts) + 1)}
    return {
        "lives": lives,
        "snapshots": [look(at / 2, tasks=range(1, count + 1)) for at, count in enumerate(counts)],
    }


WAITING = {
    "lives": {1: life("holder"), 2: life("waiter-1"), 3: life("waiter-2")},
    "snapshots": [look(1.0, detail(2, holder=1), detail(3, holder=1))],
}
FAILED = Failure("shop.OutOfEggsError", "no eggs", ())

CASES = [
    # (expectation, what is seen when it is met, what is seen when it is missed, what is said then)
    (
        words.SlowCallback("worker-*", "here", 0.2, 0.4),
        {"slow": {1: slow()}},
        {"slow": {1: slow(stack=(ELSEWHERE,))}},
        "worker-1 at other.py:1",
    ),
    (words.SlowCallback("worker-*", "here", 0.2, times=2), {"slow": {1: slow(), 2: slow(2)}}, {"slow": {1: slow()}}, "1 times"),
    (words.SlowCallback("worker-*", "here", 0.2, 0.4), {"slow": {1: slow()}}, {"slow": {1: slow(duration=0.5)}}, "0 of them"),
    (
        words.SlowCallback(None, "here", 0.2),
        {"slow": {1: slow(task=None, name=None)}},
        {"slow": {1: slow()}},
        "worker-1 at it.py:1",
    ),
    (
        words.SlowBecause("here", "io", 0.5),
        {"slow": {1: replace(slow(), io=0.2, starved=0.1)}},
        {"slow": {1: replace(slow(), gc=0.2, starved=0.05)}},
        "gc 80%, own 20%",
    ),
    (
        words.LateBecause("worker-*", "lock", "here", 0.9, holder="holder"),
        {"trace": late(HERE)},
        {"trace": late(ELSEWHERE)},
        "lock at other.py:1 100%",
    ),
    (words.NoSlowCallback(), {}, {"slow": {1: slow()}}, "worker-1 at it.py:1 for 300ms"),
    (words.NoSlowCallback(), {"slow": {1: replace(slow(), starved=0.25)}}, {"slow": {1: replace(slow(), starved=0.1)}}, "300ms"),
    (words.NoSlowCallback(over=0.5), {"slow": {1: slow()}}, {"slow": {1: slow(duration=0.6)}}, "600ms"),
    (words.TaskEnded("order-*", "done"), {"ended": {1: ended()}}, {"ended": {1: ended(name="x")}}, "x done"),
    (
        words.TaskEnded("order-*", "failed", "OutOfEggsError"),
        {"ended": {1: ended(outcome="failed", failure=FAILED)}},
        {"ended": {1: ended(outcome="failed", failure=replace(FAILED, type="ValueError"))}},
        "order-1 failed with ValueError",
    ),
    (
        words.TaskEnded("order-*", "done", at_least=0.4, at_most=0.6),
        {"ended": {1: ended()}},
        {"ended": {1: ended(age=0.7)}},
        "at an age of 700ms",
    ),
    (words.NoTaskEnded("order-*", "failed"), {"ended": {1: ended()}}, {"ended": {1: ended(outcome="failed")}}, "order-1"),
    (words.NoTaskEnded("order-*"), {}, {"ended": {1: ended()}}, "order-1 done"),
    (
        words.Unhandled("never retrieved", "OutOfEggsError"),
        {"unhandled": [Unhandled(1.0, "Task exception was never retrieved", None, None, FAILED)]},
        {"unhandled": [Unhandled(1.0, "Exception in callback", None, None, FAILED)]},
        "Exception in callback",
    ),
    (words.NoUnhandled(), {}, {"unhandled": [Unhandled(1.0, "oh", None, None, None)]}, "oh"),
    (words.LoopLag(at_most=0.1), {"loops": {1: LoopFigures(0, 0, 3, 1, 0.05)}}, {"loops": {1: LoopFigures(0, 0, 3, 1, 0.2)}}, "200ms"),
    (words.LoopLag(at_most=0.1), {"loops": {1: LoopFigures(0, 0, 3, 1, 0.05)}}, {}, "0"),
    (words.Utilization(at_least=0.5), {"loops": {1: LoopFigures(0, 0, 3, 2)}}, {"loops": {1: LoopFigures(0, 0, 3, 1)}}, "0.333"),
    (words.Timers(at_least=3), {"loops": {1: LoopFigures(0, 0, timers=3)}}, {"loops": {1: LoopFigures(0, 0, timers=2)}}, "2 timers"),
    (
        words.Loops(at_least=2),
        {"loops": {1: LoopFigures(0, 0), 2: LoopFigures(0, 0)}},
        {"loops": {1: LoopFigures(0, 0)}},
        "1 loops",
    ),
    (
        words.Waiting("lock", "waiter-*", at_least=2, holder="holder"),
        WAITING,
        {**WAITING, "snapshots": [look(1.0, detail(2, holder=3), detail(3, holder=1))]},
        "1 at once",
    ),
    (
        words.Waiting("lock", "waiter-*", at_least=2),
        WAITING,
        {**WAITING, "snapshots": [look(1.0, detail(2, text="Lock(1)"), detail(3, text="Lock(2)"))]},
        "1 at once",
    ),
    (words.Waiting("lock", "waiter-*", at_most=1), {"snapshots": [look(1.0)]}, WAITING, "2 at once"),
    (words.Waiting("sleep", "waiter-*", at_least=1), {**WAITING, "snapshots": [look(1.0, detail(2, "sleep"))]}, WAITING, "waits for lock"),
    (words.Tasks(site="here", at_least=3), growing(1, 3), growing(1, 2), "1 to 2"),
    (words.Tasks(task="leak-*", at_most=2), growing(1, 2), growing(1, 3), "1 to 3"),
    (words.Tasks(site="there", at_least=1), {"lives": {1: life("x", site=THERE)}, "snapshots": [look(0, tasks=[1])]}, growing(1), "leak-1 made at it.py:1"),
    (words.TasksGrowing("here", 2), growing(1, 2, 3, 4, 5), growing(1, 2, 3, 3, 3), "1 to 3"),
    (words.TasksGrowing("here", 2), growing(1, 2, 3, 4, 5), growing(1, 2), "2 looks are too few"),
    (words.StepRate("w", at_most=20), {"lives": {1: life("w")}}, {"lives": {1: life("w", steps=300)}}, "100 to 100"),
    (words.StepRate("w", at_most=20), {"lives": {1: life("w")}}, {"lives": {1: life("w", last=0.1)}}, "no w lived"),
    (words.BusyShare("w", at_least=0.5), {"lives": {1: life("w", busy=2)}}, {"lives": {1: life("w", busy=1)}}, "0.333"),
    (
        words.TaskEnded("order-*", "cancelled", by="boss", line="here"),
        {"ended": {1: replace(ended(outcome="cancelled"), cancelled_by=BY_THE_BOSS)}},
        {"ended": {1: replace(ended(outcome="cancelled"), cancelled_by=replace(BY_THE_BOSS, site=THERE))}},
        "order-1 cancelled by #1 boss at /s/it.py:2",
    ),
    (
        words.TaskEnded("order-*", "cancelled", by="boss"),
        {"ended": {1: replace(ended(outcome="cancelled"), cancelled_by=BY_THE_BOSS)}},
        {"ended": {1: ended(outcome="cancelled")}},
        "order-1 cancelled",
    ),
    (
        words.AwaitStack("w", ("here", "there")),
        {"lives": {1: life("w")}, "snapshots": [look(1, detail(1))]},
        {"lives": {1: life("w")}, "snapshots": [look(1, detail(1, stack=(THERE, HERE)))]},
        "it.py:2 › it.py:1",
    ),
    (
        words.Child("w", "boss"),
        {"lives": {1: life("boss"), 2: life("w", parent=1)}},
        {"lives": {1: life("other"), 2: life("w", parent=1)}},
        "other",
    ),
    (
        words.AwaitedBy("w", "boss"),
        {"lives": {1: life("boss"), 2: life("w")}, "snapshots": [look(1, detail(2, awaited_by=[1]))]},
        {"lives": {1: life("boss"), 2: life("w")}, "snapshots": [look(1, detail(2))]},
        "no task",
    ),
    (
        words.LeftAlone("w"),
        {"lives": {2: life("w", parent=1)}, "ended": {1: ended(1)}, "snapshots": [look(1, detail(2))]},
        {"lives": {2: life("w", parent=1)}, "ended": {1: ended(1)}, "snapshots": [look(1, detail(2, awaited_by=[3]))]},
        "none",
    ),
    (words.Eager("w"), {"lives": {1: life("w", eager=True)}}, {"lives": {1: life("w")}}, "0 of 1"),
    (
        words.MemoryGrowth("here", at_least=1000),
        {"memory": memory(4000), "memory_seconds": 2.0},
        {"memory": memory(4000, THERE), "memory_seconds": 2.0},
        "it.py:2 by 3.9KiB",
    ),
    (words.MemoryGrowth(at_most=1000), {"memory": memory(400), "memory_seconds": 2.0}, {}, "no memory snapshot"),
    (words.FilesGrowing(5), {"files": [(0, 3), (2, 13)]}, {"files": [(0, 3), (2, 4)]}, "3 to 4, 0.5 a second"),
    (
        words.Finding("deadlock", "a", "here"),
        {"findings": [SeenFinding("deadlock", ("a", "b"), (HERE,))]},
        {"findings": [SeenFinding("deadlock", ("b",), (HERE,))]},
        "deadlock of b at it.py:1",
    ),
    (
        words.Group("GET /a", "serve", ended=2, failed=1, at_least=0.1),
        {"groups": {1: group(ended=3, failed=1)}},
        {"groups": {1: group(ended=3, failed=0)}},
        "3 ended, 0 failed, half after",
    ),
    (words.NoFinding(), {"findings": []}, {"findings": [SeenFinding("deadlock")]}, "deadlock"),
    (words.NoFinding("deadlock"), {"findings": [SeenFinding("busy_loop")]}, {"findings": [SeenFinding("deadlock")]}, "deadlock"),
]  # fmt: skip


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "it.py"
    path.write_text(SOURCE)
    return path


def verdict(expectation, seen, source):
    sample = Sample("it", "tasks", "It is.", None, (expectation,))
    observation = Observation(**{"first": 0.0, "last": 3.0, **seen})
    [found] = judge(sample, observation, source)
    return found


@pytest.mark.parametrize(
    ("expectation", "good", "bad", "said"), CASES, ids=lambda value: getattr(value, "sentence", "")
)
def test_a_word_is_met_by_what_it_says_and_missed_by_what_it_does_not(source, expectation, good, bad, said):
    met, missed = verdict(expectation, good, source), verdict(expectation, bad, source)
    assert (met.outcome, missed.outcome) == ("met", "missed"), (met.seen, missed.seen)
    assert said in missed.seen


def test_every_word_is_among_the_cases():
    assert {type(case[0]) for case in CASES} == {*get_args(words.Expectation)} - {words.NotSeenYet}


def test_what_is_not_seen_yet_fails_nothing_and_tells_when_it_is_seen(source):
    gap = words.NotSeenYet(words.NoSlowCallback(), because="a reason")
    missed, met = verdict(gap, {"slow": {1: slow()}}, source), verdict(gap, {}, source)
    assert (missed.outcome, missed.because) == ("not seen yet", "a reason")
    assert (met.outcome, met.because) == ("met", "a reason")
    assert verdict(words.NotSeenYet("a thing", because="so"), {}, source).outcome == "not seen yet"


def test_without_anybody_who_looks_for_findings_they_are_not_seen_yet(source):
    assert verdict(words.NoFinding(), {"findings": None}, source).outcome == "not seen yet"


def test_a_machine_that_is_too_busy_is_not_the_samples_fault(source):
    finding = words.Finding("loop_blocked", line="here")
    starved = {"findings": [], "slow": {1: replace(slow(), starved=0.3)}}
    assert verdict(finding, {"findings": [], "slow": {1: slow()}}, source).outcome == "missed"
    assert verdict(finding, starved, source).outcome == "not seen yet"
    assert "too busy" in verdict(finding, starved, source).because


def test_a_name_with_a_bracket_is_matched_as_fnmatch_does(source):
    assert (
        verdict(words.TaskEnded("order-[12]", "done"), {"ended": {1: ended(name="order-2")}}, source).outcome == "met"
    )
