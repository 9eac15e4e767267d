"""Findings on programs that stand still, from rows of a scan."""

import pytest
from test_rules import World, scanned

SECOND = 1_000_000
LATE = 29 * SECOND
WAITERS = [[n, 3] for n in (1, 2, 3)]
MAIN = [5, 2, 2, 0, False, "sleep 1 s"]
SETTER = [5, 2, 2, 0, True, "socket fd 7"]
FAILED = ["warm-up", "work", "KeyError", "limit", 2]


def row(
    kind, op="", still=LATE, waiters=WAITERS, holders=(), ended=(), size=0, most=0, pid=0, pool=False, orphaned=False,
    doing="", idle=0,
):  # fmt: skip
    label = f"{kind.title()} x of Service"
    facts = [size, most, pid, pool, orphaned, doing, idle]
    return [1, kind, op, label, still, len(waiters), waiters, list(holders), list(ended), *facts]


def found(*rows, seconds=4):
    world = World()
    for quarter in range(seconds * 4):
        still = [[*one[:4], one[4] + quarter * SECOND // 4, *one[5:]] for one in rows]
        world.tick(**scanned(stuck=still)(quarter))
    return world, [finding.kind.key for finding in world.findings.shown()]


def test_tasks_that_wait_for_an_event_name_the_failure_that_refers_to_it():
    world, kinds = found(row("event", holders=[MAIN], ended=[FAILED]))
    assert kinds == ["waiters_stuck"]
    assert world.only.text == "3 tasks wait for Event x of Service; warm-up failed: KeyError: limit"
    assert world.only.site.line == 20
    assert [line.text for line in world.only.lines][:2] == [
        "failed here: KeyError: limit",
        "refers to it, waits for sleep 1 s",
    ]


@pytest.mark.parametrize(
    "calm",
    [
        row("event", still=0),  # not for long yet
        row("event", waiters=WAITERS[:2]),
        row("condition", holders=[SETTER]),  # somebody alive may notify
        row("queue", "put", size=3, most=9),
        row("queue", "put", size=9, most=9, holders=[SETTER]),  # a slow consumer
        row("queue", "get"),  # workers with nothing to do
        row("subprocess"),
        row("subprocess", doing="sleeping", idle=5 * SECOND),
        row("subprocess", doing="sleeping", idle=LATE, holders=[SETTER]),
        row("semaphore", size=1),
        row("lock", holders=[[4, 1, 2, 0, True, "sleep 60 s"]]),
        row("lock", holders=[[4, 1, 2, 0, True, "lock Lock(locked)"]]),  # see deadlock
        row("lock", holders=[[4, 1, 2, 0, True, ""]]),  # it runs
    ],
)
def test_what_is_not_stuck(calm):
    assert found(calm)[1] == []


@pytest.mark.parametrize(
    ("stuck", "kind", "text"),
    [
        (row("queue", "put", size=9, most=9, ended=[FAILED]), "queue_stuck", "full (9 of 9)"),
        (row("queue", "get", pool=True), "queue_stuck", "did not put back"),
        (row("queue", "get", ended=[FAILED]), "queue_stuck", "warm-up failed"),
        (row("subprocess", size=200_000, pid=77), "subprocess_stuck", "pid 77"),
        (row("subprocess", doing="stopped", idle=LATE + SECOND, pid=77), "subprocess_idle", "pid 77, which is stopped"),
        (row("semaphore", holders=[MAIN]), "lock_stuck", "no task is left that would release it"),
        (row("event", waiters=WAITERS[:1], orphaned=True), "never_wakes", "nothing that is alive refers to it"),
        (row("subprocess", size=200_000, pid=77, orphaned=True), "subprocess_stuck", "nobody reads: 195KiB"),
        (row("future", orphaned=True), "never_wakes", "3 tasks wait for futures"),
    ],
)
def test_what_is_stuck(stuck, kind, text):
    world, kinds = found(stuck)
    assert kinds == [kind]
    assert text in world.only.text


def test_a_holder_that_moves_is_not_stuck_and_one_that_stands_is():
    stuck = row("lock", still=4 * SECOND, holders=[[4, 1, 2, 1, True, "event Event(1 waiting)"]])
    assert found(stuck, seconds=29)[1] == []
    world, kinds = found(stuck, seconds=32)
    assert kinds == ["lock_stuck"]
    assert "held by #4 task-4, which was cancelled and cleans up; it waits for event" in world.only.text
    moving = World()
    for quarter in range(36 * 4):
        moving.tick(rows=[[4, 2, quarter // 8, 1, 1, 1]], **scanned(stuck=[stuck])(quarter))
    assert not moving.findings.shown()


def test_a_failed_task_that_nobody_asked():
    failed = [[7, 0, *FAILED]]
    assert World().seconds(9, scanned(failed=failed)) == []
    world = World()
    assert world.seconds(12, scanned(failed=failed)) == ["failed_unnoticed"]
    assert world.only.name == "warm-up"


def test_what_has_not_lasted_for_long_enough_is_known():
    world, kinds = found(row("event", still=4 * SECOND))
    assert kinds == []
    assert world.findings.pending() == [("tasks wait for one thing that does not come", 30.0)]
