"""The wait profile: every wait is counted once, by what it was for, per group and in all."""

from __future__ import annotations

import pytest
from test_parts import BLOCK, FEED, HANDLER, LOCK, MS, RELEASE, SLEEP, STATE, STREAM, Ring

from monitor.trace.events import Kind
from monitor.trace.wait_profile import BRIEF, NOT_DESCRIBED, GroupWaits, wait_profile


def test_waits_are_summed_by_what_they_were_for_per_group_and_in_all() -> None:
    ring = Ring()
    for task in (1, 2, 3):
        ring.born(task, 0, site=HANDLER if task < 3 else RELEASE)
        ring.run(Kind.STEP_BORN, 0, task - 1, task, task)
    ring.wait(3, 13, SLEEP, RELEASE, STATE)
    ring.run(Kind.STEP_TIMER, 13, 13, 14, 3)
    ring.wait(1, 14, LOCK, HANDLER, RELEASE, thing=7)
    ring.run(Kind.STEP_TASK, 14, 14, 15, 1, 3)
    ring.wait(2, 15, LOCK, HANDLER, RELEASE, thing=8)
    ring.run(Kind.STEP_TASK, 15, 15, 16, 2, 1)
    ring.wait(1, 35, STREAM, HANDLER, FEED, thing=9)
    ring.run(Kind.STEP_SOON, 35, 35, 36, 1)
    ring.run(Kind.STEP_TASK, 36.5, 36.5, 37, 1, 2)
    ring.run(Kind.STEP_TASK, 47, 47, 50, 1, 2)  # too many waits ended: this one was not described
    ring.end(1, 50)
    ring.end(2, 50)
    timeline = ring.timeline()
    timeline.life(99).coro = "handler"  # ended long before the seconds of the trace; only its name is known
    profile = wait_profile(timeline)
    assert [group.coro for group in profile.groups] == ["handler", "refresh"]
    handler, refresh = profile.groups
    found = {(one.kind, one.at): one for one in handler.ordered()}
    lock = found["lock", HANDLER]
    assert (lock.duration, lock.count, lock.longest) == (26 * MS, 2, 13 * MS)
    assert lock.objects == {7: 13 * MS, 8: 13 * MS}
    assert found["socket", HANDLER].duration == 20 * MS
    assert found[BRIEF, None].duration == 0.5 * MS
    assert found[NOT_DESCRIBED, None].duration == 10 * MS
    assert handler.duration == pytest.approx((26 + 20 + 0.5 + 10) * MS)
    sleep, now = refresh.ordered()[1], refresh.ordered()[0]
    assert (sleep.kind, sleep.duration) == ("sleep", 10 * MS)
    assert (now.live, now.duration) == (1, 36 * MS)  # it waits still
    assert profile.all.duration == handler.duration + refresh.duration
    assert (handler.tasks, refresh.tasks, profile.all.tasks) == (2, 1, 3)
    assert [group.coro for group in wait_profile(timeline, coro="refresh").groups] == ["refresh"]


def test_waits_for_tasks_are_those_of_the_tasks() -> None:
    ring = Ring()
    for task, site in ((1, HANDLER), (2, RELEASE)):
        ring.born(task, 0, site=site)
        ring.run(Kind.STEP_BORN, 0, task - 1, task, task)
    ring.wait(2, 22, SLEEP, RELEASE, STATE)
    ring.run(Kind.STEP_TIMER, 22, 22, 23, 2)
    ring.end(2, 23)
    ring.wait(1, 23, None, HANDLER, None)
    ring.run(Kind.STEP_TASK, 23, 23, 24, 1, 2)
    ring.end(1, 24)
    timeline = ring.timeline()
    timeline.life(1).coro = "handler"
    profile = wait_profile(timeline)
    assert {group.coro: group.duration for group in profile.groups} == {"handler": 22 * MS, "refresh": 20 * MS}
    assert [(one.kind, one.duration) for one in profile.all.ordered()] == [("sleep", 20 * MS)]
    assert (profile.all.count, profile.all.tasks) == (1, 2)
    assert wait_profile(timeline, coro="handler").all.duration == 22 * MS, "a group of its own has them all"


def test_one_wait_is_one_row_whether_its_name_is_known_or_not() -> None:
    group = GroupWaits("handler", None)
    for kind, name, at in (
        ("lock", "", HANDLER),
        ("lock", "CACHE", HANDLER),
        ("lock", "", RELEASE),
        ("future", "", BLOCK),
        ("task", "", BLOCK),
        ("socket", "10.0.0.7:80", FEED),
        ("socket", "10.0.0.8:80", FEED),
        ("socket", "", FEED),
        (BRIEF, "", None),
    ):
        group.add(kind, name, at, MS)
    group.join()
    assert {key: waits.count for key, waits in group.waits.items()} == {
        ("lock", "CACHE", HANDLER): 2,
        ("lock", "", RELEASE): 1,
        ("task", "", BLOCK): 2,
        ("socket", "10.0.0.7:80", FEED): 1,
        ("socket", "10.0.0.8:80", FEED): 1,
        ("socket", "", FEED): 1,  # of which of them is not known
        (BRIEF, "", None): 1,
    }
