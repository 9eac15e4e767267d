"""The model: what frames make of it, and that losing, repeating or mixing them does no harm."""

from collections import Counter

import msgspec
import pytest
from fake_probe import DETAILS, NOW, SESSION, event, hello, static, tick
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor.protocol import frames
from monitor.store.ends import MOST_ENDED, MOST_FAILED
from monitor.store.labels import canceller_text
from monitor.store.store import Store


def apply(store, *told):
    for frame in told:
        store.apply(frames.decode(msgspec.json.encode(frame)))
    return store


@pytest.fixture
def store():
    return apply(Store(), hello(), static(), tick())


def test_facts_and_rows(store):
    main, worker, old = (store.tasks[n] for n in (1, 2, 3))
    assert (main.name, main.coro, main.loop, main.state_name, main.steps) == ("main", "main", 1, "waiting", 5)
    assert (main.site.file, main.site.line, main.site.function) == ("/srv/app.py", 10, "main")
    assert (main.busy, main.scheduled, main.max_step) == pytest.approx((1.5, 0.00025, 0.9))
    assert (worker.state_name, worker.scheduled, worker.parent) == ("running", None, 1)
    assert worker.counted == pytest.approx((NOW - 1_000_000) / 1e6)
    assert (old.site, old.born, old.born_before_attach) == (None, None, True)
    assert store.tasks.children(0) == [1, 3]
    assert store.tasks.children(1) == [2]
    assert dict(store.tasks.states()) == {"waiting": 2, "running": 1}


def test_ages_and_idle(store):
    main, worker, old = (store.tasks[n] for n in (1, 2, 3))
    assert main.age(store.now) == pytest.approx(8.25)
    assert main.idle(store.now) == pytest.approx(8.25 - 1.5 - 0.00025)
    assert worker.age(store.now) == pytest.approx(4.25)
    assert worker.idle(store.now) is None  # a part of its life was not counted
    assert (old.age(store.now), old.idle(store.now)) == (None, None)


def test_a_frame_may_come_twice_or_not_at_all(store):
    def state():
        return [(t.id, t.state, t.steps, t.busy, t.max_step) for t in store.tasks.values()]

    before = state()
    apply(store, tick(), tick(), static(), tick())
    assert state() == before


def test_ends(store):
    apply(store, tick(NOW + 500_000, tasks=[[2, 3, 4, 50, None, 20]]))
    assert list(store.tasks) == [1, 3]
    assert store.tasks.children(1) == []
    apply(store, tick(NOW + 750_000, tasks=[], gone=[3, 99]))
    assert list(store.tasks) == [1]
    apply(store, event(1, "task_ended", task=1, name="main", coro="main", outcome="done", age=1, busy=1, steps=1))
    assert store.tasks == {}
    assert [task.name for task in store.ended] == ["main"]


def test_a_canceller_is_named_like_every_task(store):
    apply(store, static(strings={"from": 6, "items": ["GET /"]}, tasks=[[4, "Task-4", 3, 1, NOW, None, 0, 1, 0]]))
    apply(store, tick(NOW + 500_000, tasks=[[4, 2, 1, 5, 5, 5]]))
    end = {"coro": "handle", "outcome": "cancelled", "age": 1, "busy": 1, "steps": 1}
    by = {"how": "call", "task": 4, "name": "Task-4", "site": 2, "through": 2, "through_name": "worker-1"}
    apply(store, event(1, "task_ended", task=5, name="Task-5", cancelled_by=by, **end))
    (ended,) = store.ended
    assert canceller_text(ended.cancelled_by, store) == "together with #2 worker-1: by #4 worker() at app.py:42"
    restored = Store()
    restored.apply(store.keyframe(history=True))
    assert list(restored.ended) == [ended], "a recording keeps it: the canceller may have gone since"

    # The canceller may be known only later: its end comes after that of the task, in one batch.
    apply(store, event(2, "task_ended", task=6, name="Task-6", cancelled_by={**by, "task": 9, "through": 0}, **end))
    late = next(reversed(store.ended)).cancelled_by
    assert canceller_text(late, store) == "by #9 at app.py:42"
    apply(store, event(3, "task_ended", task=9, name="Task-9", **{**end, "coro": "refresh", "outcome": "done"}))
    assert canceller_text(late, store) == "by #9 refresh() at app.py:42"


def test_a_task_that_is_renamed(store):
    apply(store, static(strings=None, sites=None, tasks=[[2, "renamed", 3, 1, NOW - 4_000_000, NOW, 1, 2, 0]]))
    task = store.tasks[2]
    assert (task.name, task.steps, task.state_name) == ("renamed", 3, "running")
    assert store.tasks.children(1) == [2]


def test_rows_of_tasks_and_loops_that_nobody_introduced(store):
    apply(
        store,
        tick(tasks=[[99, 0, 1, 1, 1, 1]], loops=[[9, 0, 0, 0, 0, 0, None, 0]], sites=[[99, 1, 1, 1, 1, 1, 1]]),
        tick(waits=[[99, "lock", "x"]], detail={"id": 99, "await_stack": [77]}),
    )
    assert sorted(store.tasks) == [1, 2, 3]
    assert list(store.loops) == [1]
    assert store.details[99].await_stack == ()


def test_waits_and_details(store):
    apply(store, tick(waits=[[1, "lock", "Lock(locked)"], [2, None, None]]))
    assert (store.tasks[1].wait_kind, store.tasks[1].wait_text) == ("lock", "Lock(locked)")
    assert store.tasks[1].at is None  # a probe or a recording from before it was sent
    apply(store, tick(waits=[[1, "lock", "Lock(locked)", 2, "of a newer probe"]]))
    assert (store.tasks[1].at.file, store.tasks[1].at.line) == ("/srv/app.py", 42)
    again = Store()
    again.apply(store.keyframe())
    assert [(t.at, t.wait_kind) for t in again.tasks.values()] == [(t.at, t.wait_kind) for t in store.tasks.values()]
    apply(store, tick(detail=DETAILS[2]))
    detail = store.details[3]
    assert detail.waiting_on.kind == "sleep"
    assert detail.waiting_on.facts == {"wakes_at": (NOW + 5_000_000) / 1e6}
    assert (store.tasks[3].wait_kind, store.tasks[3].wait_text) == ("sleep", "5 s")
    apply(store, {"type": "reply", "id": 1, "ok": True, "details": DETAILS[:2]})
    assert store.details[2].awaited_by == (1,)
    assert [site.line for site in store.details[1].await_stack] == [10, 115]


def test_the_same_session_again(store):
    apply(store, event(1, "notice", text="x"), hello(now=NOW + 1_000_000))
    assert store.tasks == {}  # the probe tells them again
    assert [notice.text for notice in store.notices] == ["x"]
    apply(store, static(), tick(NOW + 1_250_000), event(1, "notice", text="x"), event(2, "notice", text="y"))
    assert sorted(store.tasks) == [1, 2, 3]
    assert [notice.text for notice in store.notices] == ["x", "y"]


def test_another_session_begins_empty(store):
    apply(store, event(9, "notice", text="x"))
    apply(store, hello(session="other", pid=7))
    assert (store.tasks, list(store.notices), store.loops, store.missed_events) == ({}, [], {}, 0)
    assert (store.session.id, store.session.pid) == ("other", 7)
    apply(store, event(1, "notice", text="first"))
    assert [notice.text for notice in store.notices] == ["first"]


def test_events_in_order_once_and_what_is_missing_is_counted(store):
    apply(store, *(event(n, "notice", text=str(n)) for n in (1, 2, 2, 1, 5, 6)))
    assert [notice.text for notice in store.notices] == ["1", "2", "5", "6"]
    assert store.missed_events == 2


def test_what_fell_out_of_the_rings_before_anybody_looked_is_no_loss(store):
    old, new = NOW - 60_000_000, NOW + 1_000_000
    apply(store, hello(session="other", pid=7))  # at NOW
    apply(
        store, *(event(n, "notice", at=at, text=str(n)) for n, at in ((3, old), (900, old), (1000, new), (1003, new)))
    )
    assert [notice.text for notice in store.notices] == ["3", "900", "1000", "1003"]
    assert store.missed_events == 99 + 2


def test_slow_callbacks_are_booked_to_their_line(store):
    facts = {"loop": 1, "task": 2, "name": "w", "callback": "w()", "stack": [1, 2], "blame": 1}
    apply(
        store,
        event(1, "slow_callback", duration=200_000, **facts),
        event(2, "slow_callback", duration=500_000, **facts),
        event(3, "slow_callback", duration=900_000, callback="c()", stack=[], blame=-1),
    )
    worst, other = store.slow.worst_first()
    assert (worst.line, worst.count, worst.total) == (None, 1, pytest.approx(0.9))
    assert (other.line.line, other.count, other.total, other.worst) == (42, 2, pytest.approx(0.7), pytest.approx(0.5))


def test_what_nobody_handled(store):
    boom = {"type": "E", "message": "m", "traceback": [1, 2]}
    apply(store, event(1, "unhandled", message="never retrieved", exception=boom, task=2, name="w"))
    (unhandled,) = store.unhandled
    assert (unhandled.message, unhandled.failure.type, len(unhandled.failure.traceback)) == ("never retrieved", "E", 2)


def test_process_and_probe(store):
    later = NOW + 1_250_000
    probe = {"cpu": 20_000, "hooks": 5_005, "dropped": 3, "dropped_at": NOW, "off": ["steps: why"]}
    apply(store, tick(later, process={"rss": 5, "cpu": 501_000, "threads": 2, "fds": 1}, probe=probe))
    assert store.process.cpu == pytest.approx(0.5)
    assert store.process.rss == 5
    assert store.probe.share == pytest.approx(0.02499)
    assert (store.probe.dropped, store.probe.dropped_at, store.probe.off) == (3, NOW / 1e6, ("steps: why",))


def test_what_a_task_did_before_this_viewer_came_is_not_dated(store):
    main, worker = store.tasks[1], store.tasks[2]
    apply(store, tick(NOW + 1_000_000, tasks=[[2, 2, 4, 50, None, 20]]))
    assert (main.since, main.since_before) == (main.seen, True)
    assert (worker.since, worker.since_before) == (store.now, False)
    apply(store, static(tasks=[[9, "new", 2, 1, NOW + 900_000, None, 0, 0, 0]]))
    assert not store.tasks[9].since_before


def test_utilization_is_the_growth_of_busy(store):
    for n in range(2, 10):
        apply(store, tick(NOW + n * 250_000, loops=[[1, 500, 500_000 + n * 50_000, 0, 0, n * 25, None, 0]]))
    loop = store.loops[1]
    assert loop.utilization == pytest.approx(0.2, abs=0.05)
    assert loop.steps_per_s == pytest.approx(100, rel=0.2)
    assert loop.lag == pytest.approx(0.0005)


def test_everything_is_bounded(store):
    many = (event(n, "task_ended", task=n, name="t", coro="c", outcome="done") for n in range(10, 10 + 3 * MOST_ENDED))
    apply(store, *many)
    assert len(store.ended) == MOST_ENDED
    assert store.ended_total == 3 * MOST_ENDED
    assert store.missed_events == 0


def test_ends_that_are_not_told_by_name_are_counted_with_those_that_are():
    told = {"cpu": 10, "hooks": 5, "viewers": 1, "tasks": 3, "dropped_at": None, "off": []}
    came_late = apply(Store(), hello(), static(), tick(probe={**told, "dropped": 900, "unnamed": 900}))
    assert came_late.ended_total == 0
    apply(came_late, tick(NOW + 1_500_000, probe={**told, "dropped": 3_400, "unnamed": 3_400}))
    apply(came_late, event(10, "task_ended", task=10, outcome="done"))
    assert came_late.ended_total == 2_501


def test_ends_that_went_well_do_not_push_out_what_failed(store):
    failed = [event(n, "task_ended", task=n, outcome="failed") for n in range(10, 15)]
    well = [event(n, "task_ended", task=n, outcome="done") for n in range(15, 15 + 2 * MOST_ENDED)]
    apply(store, *failed, *well, event(15 + 2 * MOST_ENDED, "task_ended", task=1, outcome="failed"))
    told = list(store.ended)
    assert [end.id for end in told[:6]] == [*range(10, 15), 15 + MOST_ENDED]
    assert (told[-1].id, len(store.ended)) == (1, MOST_ENDED + 6)
    assert list(reversed(store.ended)) == told[::-1] == list(store.frozen().ended)[::-1]
    apply(store, *(event(n, "task_ended", task=n, outcome="failed") for n in range(9000, 9000 + 2 * MOST_FAILED)))
    assert len(store.ended) == MOST_ENDED + MOST_FAILED


def test_the_store_knows_no_frame_that_it_could_not_take():
    apply(Store(), {"type": "challenge", "protocol": 1, "nonce": "0"}, {"type": "error", "message": "x"})
    apply(Store(), static(), tick())  # before any hello


numbers = st.integers(-1, 6)
rows = st.lists(st.tuples(numbers, st.integers(-9, 5), numbers, numbers, st.none() | numbers, numbers), max_size=4)
facts = st.lists(
    st.tuples(
        numbers,
        st.text(max_size=3),
        numbers,
        numbers,
        st.none() | numbers,
        st.none() | numbers,
        numbers,
        numbers,
        numbers,
    ),
    max_size=4,
)
anything = st.one_of(
    st.builds(lambda t, g, at: tick(at, tasks=t, gone=g), rows, st.lists(numbers, max_size=3), st.integers(0, 9)),
    st.builds(lambda t: static(tasks=t), facts),
    st.builds(lambda n: hello(session=SESSION + str(n)), st.integers(0, 1)),
    st.builds(
        lambda n, t: event(n, "task_ended", task=t, name="x", outcome="done", site=t), st.integers(0, 9), numbers
    ),
    st.builds(lambda s: static(strings={"from": s, "items": ["a", "b"]}, sites=None, tasks=[]), st.integers(0, 9)),
    st.builds(lambda s: static(sites={"from": s, "items": [[s, 1, s]]}, strings=None, tasks=[]), st.integers(0, 9)),
)


@given(st.lists(anything, max_size=12))
def test_whatever_comes_in_whatever_order_the_store_stands(told):
    store = apply(Store(), *told)
    assert store.tasks.states() == Counter(task.state_name for task in store.tasks.values())
    assert store.tasks.sites() == Counter(task.site for task in store.tasks.values())
    children = [child for parent in range(-1, 7) for child in store.tasks.children(parent)]
    assert sorted(children) == sorted(store.tasks)


@given(st.lists(anything, max_size=12), st.lists(anything, max_size=6), st.lists(anything, max_size=6))
def test_a_frozen_copy_stays_as_it_is_whatever_comes(before, meanwhile, after):
    store, other = apply(Store(), hello(), *before), apply(Store(), hello(), *before)
    frozen = store.frozen()
    shown = {number: replace(task) for number, task in frozen.tasks.items()}
    apply(store, *meanwhile)
    apply(store, tick(waits=[[number, "lock", "of the later"] for number in range(-1, 7)]))
    again = store.frozen()
    shown_again = {number: replace(task) for number, task in again.tasks.items()}
    apply(store, *after)
    assert (frozen.tasks, again.tasks) == (shown, shown_again)
    for one in (frozen, again, store):
        assert one.tasks.states() == Counter(task.state_name for task in one.tasks.values())
        assert one.tasks.sites() == Counter(task.site for task in one.tasks.values())
    apply(other, *meanwhile)
    apply(other, tick(waits=[[number, "lock", "of the later"] for number in range(-1, 7)]), *after)
    assert store.tasks == other.tasks  # to have been looked at changes nothing
