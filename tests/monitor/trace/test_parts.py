"""Parts of an age and the critical path, from events that are written down by hand."""

from __future__ import annotations

import random

import pytest

from monitor.store.model import Site
from monitor.trace.events import EVENT, LIFE_BITS, LONG_UNIT, LONGEST, PLACE_BITS, UNIT, Kind
from monitor.trace.explain import duration, explain, reason_object, slowest, text_of
from monitor.trace.parts import gaps, parts_of
from monitor.trace.timeline import Blocked, Timeline

LOCK = Site("/usr/lib/python3.11/asyncio/locks.py", 100, "Lock.acquire")
SLEEP = Site("/usr/lib/python3.11/asyncio/tasks.py", 600, "sleep")
STREAM = Site("/usr/lib/python3.11/asyncio/streams.py", 500, "StreamReader._wait_for_data")
FEED = Site("/usr/lib/python3.11/asyncio/streams.py", 420, "StreamReader._wakeup_waiter")
STATE = Site("/usr/lib/python3.11/asyncio/futures.py", 380, "_set_state")
HANDLER = Site("/app/orders.py", 17, "handler")
RELEASE = Site("/app/db.py", 44, "refresh")
BLOCK = Site("/app/img.py", 40, "thumbnail")
MS = 1_000_000


class Ring:
    """Writes events as the hooks do; times in ms."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.places: list[Site | None] = [None]
        self.mark(0)

    def mark(self, at: float) -> None:
        whole = round(at * MS / UNIT)
        self.data += EVENT.pack(whole & 0xFFFFFFFF, 0, 0, whole >> 32, 0)

    def place(self, site: Site | None) -> int:
        if site is None:
            return 0
        if site not in self.places:
            self.places.append(site)
        return self.places.index(site)

    def put(self, kind: Kind, at: float, ran: int, queued: int, task: int, waker: int, loop: int = 1) -> None:
        low = round(at * MS / UNIT) & 0xFFFFFFFF
        self.data += EVENT.pack(low, ran | kind << 28, queued | loop << 28, task, waker)

    def born(self, task: int, at: float, parent: int = 0, site: Site | None = None) -> None:
        self.put(Kind.BORN, at, 0, self.place(site), task, parent)

    def end(self, task: int, at: float, outcome: int = 3) -> None:
        self.put(Kind.END, at, outcome, 0, task, 0)

    def passed(self, task: int, at: float, end: float, parent: int, site: Site, made: Site) -> None:
        """Birth and end in one: the life plus 1 in the bits above the places."""
        lived = round((end - at) * MS / UNIT) + 1
        low, high = lived & (1 << LIFE_BITS) - 1, lived >> LIFE_BITS
        self.put(
            Kind.BORN, at, self.place(made) | low << PLACE_BITS, self.place(site) | high << PLACE_BITS, task, parent
        )

    def run(self, kind: Kind, ready: float | None, start: float, end: float, task: int, waker: int = 0) -> None:
        ran, queued = round((end - start) * MS / UNIT), round((start - (ready or 0)) * MS / UNIT)
        if ran >= LONGEST or (queued >= LONGEST and ready is not None):
            self.put(Kind.LONG, start, 0, 0, ran // LONG_UNIT, queued // LONG_UNIT)
        queued = 0x0FFFFFFF if ready is None else min(queued, LONGEST)
        self.put(kind, start, min(ran, LONGEST), queued, task, waker)

    def wait(
        self, task: int, at: float, inner: Site | None, users: Site | None, waking: Site | None, thing: int = 0
    ) -> None:
        self.put(Kind.WAIT, at, self.place(inner), self.place(users), task, self.place(waking) | thing << PLACE_BITS)

    def timeline(self, offset: int = 0) -> Timeline:
        made = Timeline(lambda number: self.places[number])
        made.feed(bytes(self.data), offset)
        return made


def parts(timeline: Timeline, task: int) -> list[tuple[str, float]]:
    found = parts_of(timeline, timeline.lives[task])
    assert gaps(found) == 0
    return [(part.kind, part.duration / MS) for part in found]


@pytest.mark.parametrize("lived", [0.0, 0.00025, 2.5, 8.19175, 8.192, 268_000.0])
def test_a_task_that_came_to_a_result_at_once(lived: float):
    """One event has its birth and its end."""
    ring = Ring()
    ring.passed(2, 10, 10 + lived, 1, HANDLER, BLOCK)
    ring.born(3, 20 + lived, site=HANDLER)
    lives = ring.timeline().lives
    life = lives[2]
    assert (life.born, life.ended) == (10 * MS, round((10 + lived) * MS))
    assert (life.outcome, life.parent, life.code, life.site) == ("done", 1, HANDLER, BLOCK)
    assert (lives[3].code, lives[3].ended, lives[3].outcome) == (HANDLER, None, "")


def test_what_takes_minutes_and_hours():
    """Longer than the fields of an event hold (67 s), and than their clock tells apart (18 minutes)."""
    minute = 60_000
    ring = Ring()
    ring.born(1, 0, site=HANDLER)
    ring.born(2, 0, site=BLOCK)
    ring.run(Kind.STEP_BORN, 0, 1, 2, 1)
    ring.mark(30 * minute)  # a viewer came while the next step ran
    ring.mark(2)
    ring.run(Kind.STEP_BORN, 0, 2, 45 * minute, 2)
    ring.mark(45 * minute)
    ring.end(2, 45 * minute)
    ring.wait(1, 40 * minute, SLEEP, HANDLER, None)
    ring.run(Kind.STEP_TIMER, 40 * minute, 45 * minute, 45 * minute + 80_000, 1)
    ring.end(1, 45 * minute + 80_000)
    timeline = ring.timeline()
    assert parts(timeline, 2) == [("queued", 2), ("ran", 45 * minute - 2)]
    found = parts(timeline, 1)
    assert [kind for kind, _ in found] == ["queued", "ran", "waited", "queued", "ran"]
    assert [took for _, took in found[2:]] == pytest.approx([40 * minute - 2, 5 * minute, 80_000], abs=0.02)


def test_a_lock_that_another_task_releases():
    ring = Ring()
    ring.born(1, 0, site=HANDLER)
    ring.born(2, 0, site=RELEASE)
    ring.run(Kind.STEP_BORN, 0, 1, 2, 1)
    ring.run(Kind.STEP_BORN, 0, 2, 3, 2)
    ring.wait(1, 52, LOCK, HANDLER, RELEASE)
    ring.run(Kind.STEP_TIMER, 50, 50, 53, 2)
    ring.run(Kind.STEP_TASK, 52, 53, 55, 1, 2)
    ring.end(1, 55)
    timeline = ring.timeline()
    assert parts(timeline, 1) == [("queued", 1), ("ran", 1), ("waited", 50), ("queued", 1), ("ran", 2)]
    waited = parts_of(timeline, timeline.lives[1])[2]
    assert waited.on is not None and waited.on.kind == "lock"
    assert waited.at == HANDLER
    assert waited.woken_by is not None
    assert (waited.woken_by.kind, waited.woken_by.task, waited.woken_by.at) == ("task", 2, RELEASE)
    path = explain(timeline, timeline.lives[1]).path
    assert sum(piece.end - piece.start for piece in path) == 55 * MS
    assert ("waited", 2) in [(piece.kind, piece.task) for piece in path]  # the holder slept meanwhile
    assert path[-1].kind == "ran" and path[-1].task == 1


def test_everybody_who_held_a_lock_meanwhile_is_named():
    ring = Ring()
    other = Site("/app/db.py", 60, "other")
    for task in (1, 2, 3):
        ring.born(task, 0)
        ring.run(Kind.STEP_BORN, 0, task - 1, task, task)
    ring.wait(3, 10, SLEEP, RELEASE, STATE)
    ring.run(Kind.STEP_TIMER, 10, 10, 11, 3)  # the first holder gives it back
    ring.wait(2, 11, LOCK, HANDLER, RELEASE, thing=7)
    ring.run(Kind.STEP_TASK, 11, 11, 12, 2, 3)
    ring.wait(2, 40, SLEEP, other, STATE)
    ring.run(Kind.STEP_TIMER, 40, 40, 41, 2)
    ring.wait(1, 41, LOCK, HANDLER, RELEASE, thing=7)
    ring.run(Kind.STEP_TASK, 41, 41, 42, 1, 2)
    ring.end(1, 42)
    timeline = ring.timeline()
    timeline.objects[7] = "Lock CACHE"
    waited = max(parts_of(timeline, timeline.lives[1]), key=lambda part: part.duration)
    assert [(held.task, held.at, held.duration / MS) for held in waited.held_by] == [(2, other, 30), (3, RELEASE, 10)]
    assert waited.on is not None and waited.on.object == 7


def test_a_timer_that_was_due_while_another_task_blocked_the_loop():
    ring = Ring()
    ring.born(1, 0)
    ring.born(2, 0, site=BLOCK)
    ring.run(Kind.STEP_BORN, 0, 0, 1, 1)
    ring.run(Kind.STEP_BORN, 0, 1, 101, 2)
    ring.run(Kind.CALL_TIMER, 11, 101, 102, 0)
    ring.wait(1, 101.5, SLEEP, HANDLER, STATE)
    ring.run(Kind.STEP_TIMER, 101.5, 102, 103, 1)
    ring.end(1, 103)
    timeline = ring.timeline()
    timeline.blocked.append(Blocked(1, 2, 1 * MS, 101 * MS, BLOCK))
    assert parts(timeline, 1) == [("ran", 1), ("waited", 10), ("queued", 91), ("ran", 1)]
    queued = parts_of(timeline, timeline.lives[1])[2]
    assert (queued.behind[0].task, queued.behind[0].at, queued.behind[0].duration) == (2, BLOCK, 90 * MS)


def test_a_slow_callback_of_another_task_or_next_to_a_step_is_not_its_line():
    ring = Ring()
    ring.born(1, 0)
    ring.run(Kind.STEP_BORN, 0, 0, 50, 1)
    ring.run(Kind.CALL_SOON, 50, 50, 90, 0)
    ring.run(Kind.STEP_SELF, 50, 90, 91, 1)
    ring.end(1, 91)
    timeline = ring.timeline()
    other = Site("/app/other.py", 1, "other")
    timeline.blocked += [
        Blocked(1, 0, 30 * MS, 52 * MS, other),  # of a loop on which only the function is known
        Blocked(1, 2, 0, 50 * MS, RELEASE),
        Blocked(1, 1, 0, 50 * MS, BLOCK),
        Blocked(1, 0, 50 * MS, 90 * MS + MS // 10, HANDLER),
    ]
    assert [part.at for part in parts_of(timeline, timeline.lives[1]) if part.kind == "ran"] == [BLOCK, None]


def test_what_came_over_a_descriptor_while_the_loop_was_busy_is_unknown():
    ring = Ring()
    ring.born(1, 0)
    ring.run(Kind.STEP_BORN, 0, 0, 1, 1)
    ring.run(Kind.STEP_TIMER, 40, 40, 90, 2)
    ring.run(Kind.CALL_HANDLE, None, 90, 91, 0)
    ring.wait(1, 90.5, STREAM, HANDLER, FEED)
    ring.run(Kind.STEP_HANDLE, 90.5, 91, 92, 1)
    ring.end(1, 92)
    timeline = ring.timeline()
    assert parts(timeline, 1) == [("ran", 1), ("waited", 39), ("unknown", 50), ("queued", 1), ("ran", 1)]
    unknown = parts_of(timeline, timeline.lives[1])[2]
    assert unknown.behind[0].task == 2 and unknown.on is not None and unknown.on.kind == "socket"


def test_what_came_while_the_loop_rested_was_waited_for():
    ring = Ring()
    ring.born(1, 0)
    ring.run(Kind.STEP_BORN, 0, 0, 1, 1)
    ring.run(Kind.CALL_HANDLE, None, 90, 91, 0)
    ring.wait(1, 90.5, STREAM, HANDLER, FEED)
    ring.run(Kind.STEP_HANDLE, 90.5, 91, 92, 1)
    ring.end(1, 92)
    timeline = ring.timeline()
    assert parts(timeline, 1) == [("ran", 1), ("waited", 89), ("queued", 1), ("ran", 1)]
    waited = parts_of(timeline, timeline.lives[1])[1]
    assert waited.woken_by is not None and waited.woken_by.kind == "socket"


def test_a_result_of_a_thread():
    ring = Ring()
    ring.born(1, 0)
    ring.run(Kind.STEP_BORN, 0, 0, 1, 1)
    ring.run(Kind.CALL_HANDLE, None, 30, 30.1, 0)
    ring.wait(1, 30.05, HANDLER, HANDLER, STATE)
    ring.run(Kind.STEP_HANDLE, 30.05, 30.2, 31, 1)
    ring.end(1, 31)
    waited = parts_of(timeline := ring.timeline(), timeline.lives[1])[1]
    assert waited.on is not None and waited.on.kind == "executor"
    assert waited.woken_by is not None and waited.woken_by.kind == "thread"


def test_a_callback_in_between_leads_to_the_task_that_scheduled_it():
    ring = Ring()
    ring.born(1, 0)
    ring.born(2, 0)
    ring.run(Kind.STEP_BORN, 0, 0, 1, 1)
    ring.run(Kind.STEP_BORN, 0, 1, 2, 2)
    ring.run(Kind.STEP_TIMER, 20, 20, 21, 2)
    ring.end(2, 21)
    ring.run(Kind.CALL_SOON, 21, 25, 26, 0, 2)
    ring.wait(1, 25.5, HANDLER, HANDLER, Site("/usr/lib/asyncio/tasks.py", 1, "gather.<locals>._done_callback"))
    ring.run(Kind.STEP_SOON, 25.5, 26, 27, 1)
    ring.end(1, 27)
    timeline = ring.timeline()
    assert parts(timeline, 1) == [("ran", 1), ("waited", 20), ("queued", 5), ("ran", 1)]
    waited = parts_of(timeline, timeline.lives[1])[1]
    assert waited.woken_by is not None and waited.woken_by.task == 2
    assert waited.on is not None and waited.on.kind == "gather"


def test_collection_is_told_apart_from_the_step_that_it_ran_in():
    ring = Ring()
    ring.born(1, 0)
    ring.put(Kind.GC, 5, round(20 * MS / UNIT), 0, 2, 0)
    ring.run(Kind.STEP_BORN, 0, 1, 31, 2)
    ring.run(Kind.STEP_BORN, 0, 31, 32, 1)
    ring.end(1, 32)
    timeline = ring.timeline()
    reason = explain(timeline, timeline.lives[1])
    behind = reason.parts[0].behind
    assert [(entry.what, entry.duration / MS) for entry in behind] == [("gc", 20), ("step", 10), ("loop", 1)]
    # The path has the same shares: the whole time in the queue was not behind the collector.
    assert [(piece.text, (piece.end - piece.start) / MS) for piece in reason.path] == [
        *((entry.title, entry.duration / MS) for entry in behind),
        ("", 1),
    ]
    text = "\n".join(text_of(reason))
    assert "behind garbage collection, 20.0 ms" in text
    assert "behind garbage collection 20.0 ms → #1 behind #2 10.0 ms" in text


def test_what_was_overwritten_is_unknown():
    ring = Ring()
    ring.run(Kind.STEP_TIMER, 100, 100, 101, 1)
    ring.run(Kind.STEP_TIMER, 150, 150, 151, 1)
    ring.end(1, 151)
    timeline = ring.timeline()
    found = parts_of(timeline, timeline.lives[1], born=20 * MS)
    assert [(part.kind, part.duration / MS) for part in found][:2] == [("unknown", 80), ("ran", 1)]
    assert sum(part.duration for part in found) == 131 * MS


def test_times_wrap_after_eighteen_minutes():
    ring = Ring()
    ring.born(1, 0)
    ring.run(Kind.STEP_BORN, 0, 0, 1, 1)
    for minutes in range(2, 60, 2):
        ring.mark(minutes * 60_000)
    ring.run(Kind.STEP_TIMER, 3_500_000, 3_500_000, 3_500_001, 1)
    ring.end(1, 3_500_001)
    assert parts(ring.timeline(10**18), 1) == [("ran", 1), ("waited", 3_499_999), ("ran", 1)]


def test_what_comes_before_the_first_mark_is_left_out():
    ring = Ring()
    ring.data.clear()
    ring.born(1, 0)
    ring.mark(5)
    ring.born(2, 5)
    assert set(ring.timeline().lives) == {2}


@pytest.mark.parametrize("seed", range(30))
def test_parts_and_path_cover_the_age_whatever_comes(seed):
    """Random schedules of one loop, with wakes that may name anything: no gap, no overlap, every piece positive."""
    chance = random.Random(seed)
    ring = Ring()
    clock = 0.0
    alive: list[int] = []
    for number in range(1, 8):
        ring.born(number, clock, chance.randint(0, number - 1))
        alive.append(number)
    for _ in range(120):
        start = clock + chance.choice((0, 0, 0.5, 7))
        end = start + chance.choice((0.01, 0.3, 4))
        ready = None if chance.random() < 0.1 else max(start - chance.choice((0, 0.2, 3, 30)), 0)
        kind = Kind(chance.randint(1, 10))
        task = chance.choice(alive) if kind <= Kind.STEP_OUTSIDE else 0
        if ready is not None and task and chance.random() < 0.5:
            ring.wait(task, ready, chance.choice((LOCK, SLEEP, None)), HANDLER, chance.choice((STATE, None)))
        ring.run(kind, ready, start, end, task, chance.choice([0, *alive]))
        clock = end
    for number in alive[:5]:
        ring.end(number, clock)
    timeline = ring.timeline()
    for number in alive:
        reason = explain(timeline, timeline.lives[number])
        assert gaps(reason.parts) == 0
        assert all(part.duration > 0 for part in reason.parts)
        assert sum(part.duration for part in reason.parts) == reason.age
        assert [piece for piece in reason.path if piece.end <= piece.start] == []
        assert sum(piece.end - piece.start for piece in reason.path) == reason.age
        for part in reason.parts:  # what it queued behind is in both, with the same durations
            if part.kind == "queued":
                inside = [piece for piece in reason.path if part.start <= piece.start < part.end]
                assert [piece.end - piece.start for piece in inside] == [entry.duration for entry in part.behind]
        assert reason_object(reason)["age"] == pytest.approx(reason.age / 1e9)


def test_the_text_names_each_line_once():
    ring = Ring()
    ring.born(1, 0, site=HANDLER)
    ring.born(2, 0, site=RELEASE)
    ring.run(Kind.STEP_BORN, 0, 0, 1, 1)
    ring.run(Kind.STEP_BORN, 0, 1, 2, 2)
    ring.wait(1, 52, LOCK, HANDLER, RELEASE)
    ring.run(Kind.STEP_TIMER, 50, 50, 53, 2)
    ring.run(Kind.STEP_TASK, 52, 53, 55, 1, 2)
    ring.end(1, 55)
    timeline = ring.timeline()
    assert slowest(timeline, 5) == [timeline.lives[1]]
    text = text_of(explain(timeline, timeline.lives[1]))
    assert text[0] == "#1 handler()  55.0 ms  done"
    assert text[3] == "  waited    51.0 ms  51.0 ms lock at orders.py:17 handler, held by #2 refresh() ← db.py:44"
    assert text[-1].strip().startswith("R.")


def test_a_task_of_the_same_label_made_by_another_is_a_part_of_it():
    ring = Ring()
    for number, parent in ((1, 0), (2, 1), (3, 1), (4, 2)):
        ring.born(number, number, parent, site=HANDLER)
        ring.end(number, 50)
    timeline = ring.timeline()
    for number, label in ((1, "GET /"), (2, "GET /"), (3, "other"), (4, "GET /")):
        timeline.lives[number].label = label
    chosen = [
        slowest(timeline, 9, labelled=True),
        slowest(timeline, 9, lambda life: life.label == "GET /"),
        slowest(timeline, 9, lambda life: life.id in (3, 4)),  # the group of these alone
        slowest(timeline, 9),
    ]
    assert [[life.id for life in lives] for lives in chosen] == [[1, 3], [1], [3, 4], [1, 2, 3, 4]]


def test_the_path_tells_what_repeats_once():
    ring = Ring()
    ring.born(1, 0, site=HANDLER)
    ring.run(Kind.STEP_BORN, 0, 0, 0.05, 1, 1)
    for due in (10, 20, 30, 40):
        ring.wait(1, due, SLEEP, HANDLER, STATE)
        ring.run(Kind.STEP_TIMER, due, due, due + 0.05, 1)
    ring.end(1, 40.05)
    timeline = ring.timeline()
    text = text_of(explain(timeline, timeline.lives[1]))
    assert "  critical path: #1 handler() on sleep 39.8 ms (4 times)" in text


def test_the_path_in_json_is_bounded_and_says_what_was_left_out():
    ring = Ring()
    ring.born(1, 0, site=HANDLER)
    ring.run(Kind.STEP_BORN, 0, 0, 0.05, 1, 1)
    for number in range(1, 401):
        due = 10.0 * number + number % 7
        ring.wait(1, due, SLEEP, HANDLER, STATE)
        ring.run(Kind.STEP_TIMER, due, due, due + 0.05, 1)
    ring.end(1, 4100)
    reason = explain(timeline := ring.timeline(), timeline.lives[1])
    found = reason_object(reason)
    kept, left_out = found["critical_path"], found["critical_path_left_out"]
    assert len(kept) == 500 and left_out["pieces"] == len(reason.path) - 500 > 100
    assert sum(piece["duration"] for piece in kept) + left_out["duration"] == pytest.approx(found["age"])
    assert left_out["duration"] == pytest.approx(left_out["pieces"] * 0.05e-3, rel=0.01)  # the shortest ones
    assert [piece["kind"] for piece in kept[:4]] == ["ran", "waited", "ran", "waited"]


def test_durations_have_three_digits_also_just_below_the_next_unit():
    found = [duration(ns) for ns in (0, 120, 9_100_000, 999_400_000, 999_700_000, 1_000_000_000, 72_000_000_000)]
    assert found == ["0 s", "120 ns", "9.10 ms", "999 ms", "1.00 s", "1.00 s", "72.0 s"]
