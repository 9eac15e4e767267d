"""`w`: the page that explains why a task was late, from the steps that the probe sends while it is open."""

from __future__ import annotations

from dataclasses import replace

import pytest
from driver import running
from scene import SECOND, START, STATE, everything, hello, static, tick

from monitor.protocol import frames
from monitor.protocol.rows import GroupRow, TaskRow, TaskStaticRow, WaitRow
from monitor.store.store import Store
from monitor.trace.choose import oldest_live
from monitor.trace.collect import Trace
from monitor.trace.events import EVENT, UNIT, Kind
from monitor.trace.wait_profile import NOT_READ, wait_profile
from monitor.tui.pages.why import why_page, wrapped

MS = 1_000_000


def units(at_ms: float) -> int:
    return round(at_ms * MS / UNIT)


def steps() -> frames.Steps:
    """Worker 3 waits 50 ms at line 2 of the sites, ended by task 2; then it queues 20 ms behind worker 4."""
    data = EVENT.pack(0, 0, 0, 0, 0)
    for kind, at, ran, queued, task, waker in (
        (Kind.STEP_TIMER, 0, units(1), 0, 3, 0),
        (Kind.WAIT, 51, 11, 2, 3, 3),
        (Kind.STEP_TIMER, 50, units(2), 0, 2, 0),
        (Kind.STEP_TASK, 52, units(19), 0, 4, 2),
        (Kind.STEP_TASK, 71, units(2), units(20), 3, 2),
    ):
        data += EVENT.pack(units(at), ran | kind << 28, queued | 1 << 28, task, waker)
    places = frames.Places(0, list(range(15)))
    return frames.Steps(offset=START + 61 * SECOND, from_=0, to=6, places=places, events=data)


async def test_w_explains_a_task_from_the_list_and_its_page() -> None:
    capable = [hello(capabilities=["cancel", "steps"]), static(), *(tick(step) for step in range(1, 5))]
    async with running((100, 30), fed=capable) as driver:
        driver.app.open_task(3)
        await driver.look()
        assert "steps" not in driver.source.watched
        await driver.press("w")
        assert driver.source.watched["steps"] == "past"
        assert "No step of this task is recorded" in driver.text()
        await driver.tick(steps(), tick(6), seconds=2)
        text = driver.text()
        assert "Why was #3 worker-1" in text
        assert "waited    50.0 ms  50.0 ms future at scene_app.py:18 serve ← #2 worker-0 scene_app.py:12" in text
        assert "queued    20.0 ms  behind #4 worker-2, 19.0 ms" in text
        assert "R ran   q queued   . waited   ? unknown" in text
        await driver.tick(tick(28), seconds=2)
        assert "Recorded: the last 6 s." in driver.text()  # until now, not until the last event that came
        await driver.press("escape")
        await driver.look()
        assert driver.source.watched["steps"] is None
        assert driver.app.steps.trace is None
        await driver.press("escape")
        await driver.press("w")
        assert "Why was" in driver.text()


@pytest.mark.parametrize(
    ("state", "ran", "counted", "pieces", "said"),
    [
        ("running", 0, None, 1, " yet: its first step is still running."),
        ("running", 7, None, 1, " yet: its current step is still running."),
        ("running", 0, START, 0, " yet: its current step is still running."),
        ("waiting", 0, None, 1, ": it has not run since recording began."),
        (None, 0, None, 1, ": it has not run since recording began."),
        ("waiting", 0, None, 0, " yet: what the program remembers is still being read."),
    ],
)
def test_a_task_that_runs_its_first_step_is_not_said_to_have_run_never(
    state: str | None, ran: int, counted: int | None, pieces: int, said: str
) -> None:
    store = Store()
    store.apply(hello(capabilities=["steps"]))
    if state is not None:
        store.apply(frames.Static(tasks=[TaskStaticRow(7, "Task-7", 0, 1, START, counted, 0, 0, 0)]))
        store.apply(tick(1, tasks=[TaskRow(7, STATE[state], ran, 300_000, 0, 300_000)], sites=[], waits=[]))
    trace = Trace(store)
    trace.pieces, trace.is_whole = pieces, bool(pieces)
    text = "".join(part for line in why_page(store, 7, "#7 serve()", None, trace, 100) for part, _ in line.parts)
    assert f"No step of this task is recorded{said}" in text


def test_what_live_tasks_wait_on_is_read_in_turns_and_counts_from_when_it_was_read() -> None:
    store = Store()
    strings = frames.Strings(from_=0, items=["(unknown)", "jobs", "feed"])
    jobs = [TaskStaticRow(number, "", 1, 1, None, None, 0, 0, 0) for number in range(1, 6)]
    feed = TaskStaticRow(9, "", 2, 1, None, None, 0, 0, 0)
    trace = Trace(store)
    for frame in (hello(capabilities=["steps"]), frames.Static(strings=strings, tasks=[*jobs, feed])):
        store.apply(frame)
    assert trace.to_read(4) == [1, 9, 2, 3], "the only one of its group is among the first"
    trace.window = trace.to_read(2)
    rows = [WaitRow(1, "lock", "Lock"), WaitRow(9, "sleep", "")]
    frame = tick(1, tasks=[TaskRow(n, STATE["waiting"], 0, 0, 0, 0) for n in (1, 2, 9)], sites=[], waits=rows)
    store.apply(frame)
    trace.take(frame)
    at = frame.at * 1000
    assert trace.to_read(9) == [2, 3, 4, 5, 1, 9]
    assert (trace.is_read(1, at - 1), trace.is_read(1, at + 1), trace.is_read(2, 0)) == (True, False, True)
    trace.timeline.begin, trace.timeline.end = at - MS, at + 9 * MS
    trace.name_live_tasks()
    found = wait_profile(trace.timeline, store, is_read=trace.is_read)
    told = {group.coro: [(one.kind, one.duration) for one in group.ordered()] for group in found.groups}
    assert told == {"jobs": [(NOT_READ, 40 * MS), ("lock", 10 * MS)], "feed": [("sleep", 10 * MS)]}
    assert [life.id for life in oldest_live(trace, lambda life: life.coro == "jobs")][:2] == [1, 2]


def test_details_that_do_not_fit_continue_below_the_details() -> None:
    text = "  queued     310 ms  behind _SelectorSocketTransport._read_ready selector_events.py:951, 24.1 ms"
    assert wrapped(text, 60) == [
        "  queued     310 ms  behind",
        "                       _SelectorSocketTransport._read_ready",
        "                       selector_events.py:951, 24.1 ms",
    ]
    path = "  critical path: _handle_request#9854 on sleep 41.9 ms → _handle_request#9857 on sleep 50 ms"
    assert wrapped(path, 60) == [path[:56], "      " + path[57:]]


async def test_a_program_whose_steps_are_not_recorded_says_so() -> None:
    async with running(fed=everything()) as driver:
        await driver.press("w")
        assert "Steps are not recorded in this program: its hooks are pure Python." in driver.text()
        assert "Only the hooks in C record them." in driver.text()


def whole_life() -> frames.Steps:
    """Task 3 lives 71 ms, 50 of which it waits for a lock."""
    data = EVENT.pack(0, 0, 0, 0, 0)
    for kind, at, ran, queued, task, waker in (
        (Kind.BORN, 0, 0, 0, 3, 0),
        (Kind.STEP_TIMER, 0, units(1), 0, 3, 0),
        (Kind.WAIT, 51, 11, 2, 3, 3 | 7 << 13),
        (Kind.STEP_TIMER, 50, units(2), 0, 2, 0),
        (Kind.STEP_TASK, 51, units(20), 0, 3, 2),
        (Kind.END, 71, 3, 0, 3, 0),
    ):
        data += EVENT.pack(units(at), ran | kind << 28, queued | 1 << 28, task, waker)
    places = frames.Places(0, list(range(15)))
    return frames.Steps(offset=START + 61 * SECOND, from_=0, to=7, places=places, events=data)


async def test_w_on_a_group_sums_up_its_slowest_and_what_its_tasks_wait_for() -> None:
    capable = [hello(capabilities=["cancel", "steps", "groups"]), static(), *(tick(step) for step in range(1, 5))]
    async with running((100, 30), fed=capable) as driver:
        coro = driver.app.store.tasks[3].coro
        number = driver.app.store.tables.strings.index(coro)
        row = GroupRow(1, number, 0, 0, 2, 5, 0, 0, 0, [10, 5, 1, 4], [], [], [], [])
        await driver.press("8")
        await driver.tick(tick(5, groups=frames.GroupsTick(since=START, rows=[row])), seconds=1)
        await driver.press("w")
        assert driver.source.watched["steps"] == "past"
        assert f"Why was {coro} late?" in driver.text()
        await driver.tick(steps(), tick(5), seconds=3)
        text = driver.text()
        assert "oldest live" in text, "none has ended yet"
        assert "still alive" in text
        await driver.tick(whole_life(), tick(6), seconds=3)
        text = driver.text()
        assert "The slowest one, 71.0 ms together" in text
        assert "waited    50.0 ms" in text
        assert "Waited for" in text
        assert "1×" in text
        # A task that only the steps remember: its page is the one that explains it.
        driver.app.steps.trace.timeline.lives[77] = replace(driver.app.steps.trace.timeline.lives[3], id=77)
        driver.app.open_task(77)
        await driver.until(lambda: "Why was #77 worker-1 late?" in driver.text())
        await driver.press("escape")
        driver.app.open_task(78)
        await driver.until(lambda: "#78 has ended and is no longer among the last" in driver.text())
        await driver.press("escape", "W")
        await driver.tick(whole_life(), tick(7), seconds=3)
        assert "What do the tasks wait for?" in driver.text()
        assert "By group" in driver.text()
        await driver.press("escape")
        await driver.look()
        assert driver.source.watched["steps"] is None
