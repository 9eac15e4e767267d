"""What the rules see in frames: each kind, and what is near it and none."""

import itertools

import msgspec
import pytest
from fake_probe import NOW, hello, tick

from monitor.findings.kinds import BY_KEY, KINDS
from monitor.findings.rules.engine import Findings
from monitor.protocol import frames
from monitor.store.store import Store

SECOND = 1_000_000
STRINGS = ["", "/srv/app.py", "main", "work", "/srv/.venv/lib/python3.11/site-packages/hypercorn/tcp.py"]
SITES = [[0, 0, 0], [1, 10, 2], [1, 20, 3], [1, 30, 3], [4, 20, 2], [4, 30, 3]]


class World:
    """A store that is fed ticks, a quarter of a second apart, and the findings of it."""

    def __init__(self, tasks=6):
        self.store, self.findings, self.at = Store(), Findings(), NOW
        facts = [[n, f"task-{n}", 3, 1, NOW - 90 * SECOND, None, 0, 1, 0] for n in range(1, tasks + 1)]
        self.feed(hello())
        self.feed(
            {
                "type": "static",
                "strings": {"from": 0, "items": STRINGS},
                "sites": {"from": 0, "items": SITES},
                "loops": [[1, "asyncio", 1, "Main"]],
                "tasks": facts,
            }
        )
        self.changes = []

    def feed(self, frame):
        self.store.apply(frames.decode(msgspec.json.encode(frame)))

    def tick(self, rows=(), **more):
        self.at += SECOND // 4
        more.setdefault("loops", [[1, 0, 0, 0, 0, 0, None, 0]])
        self.feed(tick(self.at, tasks=list(rows), **more))
        self.changes += [(one.what, one.finding.kind.key) for one in self.findings.evaluate(self.store)]

    def seconds(self, number, of=lambda quarter: {}):
        for quarter in range(int(number * 4)):
            self.tick(**of(quarter))
        return [finding.kind.key for finding in self.findings.shown()]

    @property
    def only(self):
        (finding,) = self.findings.shown()
        return finding.observed


@pytest.fixture
def world():
    return World()


def test_nothing_is_found_in_a_calm_program(world):
    assert world.seconds(20, lambda quarter: {"rows": [[1, 2, quarter, quarter * 100, 10, 20]]}) == []


def test_a_task_that_keeps_the_loop_busy(world):
    def rows(share):
        return lambda quarter: {"rows": [[1, 2, quarter, int(world.at - NOW + SECOND / 4) * share // 100, 10, 20]]}

    assert world.seconds(15, rows(30)) == []
    assert World().seconds(4, rows(80)) == []
    assert world.seconds(8, rows(80)) == ["task_busy"]
    assert world.only.task == 1
    assert world.only.site.line == 10


def test_a_busy_task_of_which_nothing_was_heard_for_a_while(world):
    def row():
        return {"rows": [[1, 2, 1, int(world.at - NOW + SECOND / 4) * 9 // 10, 10, 20]]}

    world.seconds(2, lambda quarter: row())
    world.at += 30 * SECOND  # nothing could be told meanwhile
    assert world.seconds(1, lambda quarter: row()) == []
    assert world.seconds(6, lambda quarter: row()) == ["task_busy"]


def test_a_busy_loop_and_a_task_that_works_without_waiting(world):
    def rows(steps_per_s, busy):
        def of(_):
            elapsed = world.at - NOW + SECOND // 4
            return {
                "rows": [
                    [1, 1, elapsed * steps_per_s // SECOND, elapsed * busy // 100, elapsed * (100 - busy) // 100, 9]
                ]
            }

        return of

    assert world.seconds(12, rows(200, 40)) == []  # five ms of work, then a turn for the others
    world = World()
    assert world.seconds(12, rows(20_000, 20)) == ["busy_loop"]
    assert world.only.evidence["idle"] == 0


def test_a_busy_server_waits_in_between(world):
    def rows(_):
        elapsed = world.at - NOW + SECOND // 4
        return {"rows": [[1, 2, elapsed * 3000 // SECOND, elapsed // 3, elapsed // 3, 9]]}

    assert world.seconds(12, rows) == []


def born(world, number):
    world.feed({"type": "static", "tasks": [[100 + n, f"t-{n}", 3, 1, world.at, None, 1, 2, 0] for n in range(number)]})


def test_tasks_that_grow_at_one_site(world):
    for second in range(8):
        born(world, 10 * second)
        world.seconds(1)
    assert [finding.kind.key for finding in world.findings.shown()] == ["tasks_growing"]
    assert (world.only.site.line, world.only.evidence["tasks"]) == (20, 70)
    assert world.seconds(10) == []  # they are still there, but grow no more


def test_tasks_that_a_black_box_had_no_room_for_do_not_grow(world):
    probe = {"cpu": 0, "hooks": 0, "viewers": 0, "tasks": 20_000, "dropped": 0, "dropped_at": None, "off": []}
    for second in range(8):
        born(world, 10 * second)
        world.seconds(1, lambda quarter: {"probe": probe})
    assert world.findings.shown() == []


def test_a_crowd_that_comes_at_once_does_not_grow(world):
    born(world, 500)
    assert world.seconds(15) == []


def test_tasks_that_come_and_go_do_not_grow(world):
    for second in range(12):
        born(world, 10 * second)
        site = [2, 1000 * second, 995 * second, 0, 0, 0, 0]
        world.seconds(1, lambda quarter, site=site: {"sites": [site]})
    assert world.findings.shown() == []  # of a thousand new ones nearly all have ended: load that rises


def scanned(**facts):
    return lambda quarter: {"sync_scan": facts} if quarter % 4 == 0 else {}


def responses(of):
    """Each second the responses of a route, and its errors, since counting began 100 s before."""
    seconds = itertools.count(100)

    def quarter_of(quarter):
        if quarter % 4:
            return {}
        second = next(seconds)
        return {"sync_scan": {"responses": [["run_asgi", "GET /orders/{id}", *of(second), second * SECOND]]}}

    return quarter_of


def test_a_route_that_answers_with_errors_only(world):
    assert world.seconds(3, responses(lambda second: (second, second))) == ["responses_failing"]
    assert world.only.text == "GET /orders/{id}: 102 of 102 responses had status 500 or above (100%)"
    assert world.only.since == pytest.approx(NOW / SECOND + 0.25)  # they began earlier, but nobody read that
    assert world.only.evidence["label"] == "GET /orders/{id}"
    assert world.only.evidence["errors"] == 102


def test_a_route_that_fails_from_its_first_response(world):
    """Counted since the program began 100 s before, but first called while it is watched."""
    world.seconds(5, scanned(responses=[]))
    called = world.store.now
    assert world.seconds(4, responses(lambda second: (10 * (second - 99), 10 * (second - 99)))) == ["responses_failing"]
    assert world.only.text == "GET /orders/{id}: 40 of 40 responses in 4s had status 500 or above (100%)"
    assert world.only.since == pytest.approx(called, abs=1.0)


def test_a_route_that_began_to_fail(world):
    assert world.seconds(4, responses(lambda second: (10_000 + 10 * second, 10 * (second - 99)))) == [
        "responses_failing"
    ]
    assert world.only.text == "GET /orders/{id}: 30 of 30 responses in 3s had status 500 or above (100%)"


@pytest.mark.parametrize(
    "of",
    [
        lambda second: (1000 + second, 1000),  # mended
        lambda second: (1000, 1000),  # nobody calls it any more
        lambda second: (10 * second, 4 * second),  # fewer than half of them
        lambda second: (second - 99, second - 99),  # a handful
    ],
)
def test_a_route_that_does_not_fail_now_or_not_often(world, of):
    assert world.seconds(15, responses(of)) == []


LOCKS = [[1, 1, 2, 2, [[1, 3]]], [2, 1, 1, 2, [[2, 3]]]]


def test_a_deadlock_is_the_cycle_with_its_lines(world):
    assert world.seconds(4, scanned(locks=LOCKS)) == ["deadlock"]
    sign = world.only
    assert [(line.name, line.site.line) for line in sign.lines] == [("task-1", 30), ("task-2", 30)]
    assert "#1 task-1 → #2 task-2 → #1 task-1" in sign.text


def test_a_deadlock_by_way_of_a_task_that_is_awaited(world):
    # 1 holds the lock and awaits 3, which awaits 2, which waits for the lock.
    assert world.seconds(4, scanned(locks=[[1, 1, 1, 2, [[2, 3]]]], awaits=[[1, [3]], [3, [2, 4]]])) == ["deadlock"]
    assert [line.name for line in world.only.lines] == ["task-1", "task-3", "task-2"]


def test_a_task_that_waits_for_its_own_lock(world):
    assert world.seconds(4, scanned(locks=[[1, 1, 1, 2, [[1, 3]]]])) == ["deadlock"]
    assert "waits for itself" in world.only.text


def test_who_steps_is_in_no_deadlock(world):
    def moving(quarter):
        return {"rows": [[1, 2, quarter, 10, 10, 20]], **scanned(locks=LOCKS)(quarter)}

    assert world.seconds(12, moving) == []


def test_a_chain_of_locks_is_no_cycle(world):
    assert world.seconds(8, scanned(locks=[[1, 1, 2, 2, [[1, 3]]], [2, 1, 3, 2, [[2, 3]]]])) == []
    assert world.seconds(8, scanned(awaits=[[1, [2]], [2, [1]]])) == []  # no lock in it


def test_a_lock_convoy_says_who_holds_it(world):
    convoy = [[1, 4, 6, 2, [[n, 3] for n in (1, 2, 3, 4)]]]
    assert world.seconds(6, scanned(locks=convoy)) == ["lock_convoy"]
    assert (world.only.name, world.only.site.line) == ("task-6", 20)
    assert World().seconds(9, scanned(locks=[[1, 3, 6, 2, [[n, 3] for n in (1, 2, 3)]]])) == []


def gate(waiting):
    return lambda quarter: scanned(semaphores=[[1, "Semaphore gate of Shop", 2, 0, None, waiting(quarter)]])(quarter)


def test_a_semaphore_that_many_wait_for():
    world = World()
    assert world.seconds(8, gate(lambda quarter: 187)) == []
    assert world.seconds(4, gate(lambda quarter: 190)) == ["lock_convoy"]
    assert world.only.text == "190 tasks wait for Semaphore gate of Shop"
    assert world.only.site.line == 20
    assert World().seconds(20, gate(lambda quarter: 187 - quarter)) == []  # a batch that is worked off
    assert World().seconds(20, gate(lambda quarter: 26)) == []
    assert World().seconds(20, gate(lambda quarter: 90 if quarter % 8 else 0)) == []  # it lets all in now and then


def test_a_semaphore_that_many_wait_for_says_who_holds_it(world):
    waiters = [[n, 3] for n in (1, 2)]
    holders = [[n, 1, 2, 0, True, "sleep 9 s"] for n in (5, 6)]
    facts = [5 * SECOND, 60, waiters, holders, [], 0, 2, 0, False, False, "", 0]
    row = [1, "semaphore", "", "Semaphore gate of Shop", *facts]
    of = scanned(semaphores=[[1, "Semaphore gate of Shop", 1, 0, None, 60]], stuck=[row])
    assert world.seconds(12, of) == ["lock_convoy"]
    assert world.only.text == "60 tasks wait for Semaphore gate of Shop, held by #5 task-5 and 1 more"
    assert [line.name for line in world.only.lines] == ["task-5", "task-6", "task-1", "task-2", None]
    assert world.only.lines[-1].text == "… and 58 more wait"
    assert world.only.site.line == 20


def test_a_holder_without_a_name_of_its_own_goes_by_its_id(world):
    facts = [7, "Task-5", 3, 1, NOW - 90 * SECOND, None, 0, 1, 0]  # asyncio's number is not the id
    world.feed({"type": "static", "tasks": [facts]})
    for holder, text in ((6, "#6 task-6"), (7, "#7 work()"), (99, "#99")):
        convoy = [[holder, 4, holder, 2, [[n, 3] for n in (1, 2, 3, 4)]]]
        assert "lock_convoy" in world.seconds(6, scanned(locks=convoy))
        assert f"4 tasks wait for a lock held by {text}" in [one.observed.text for one in world.findings.shown()]


def test_a_holder_that_is_not_known_is_not_guessed(world):
    world.seconds(6, scanned(locks=[[1, 5, 0, 0, [[1, 3]]]]))
    assert (world.only.task, world.only.site.line) == (None, 30)
    assert "its holder is unknown" in world.only.text


def test_a_pool_with_more_to_do_than_workers(world):
    assert world.seconds(6, scanned(executors=[[1, "thread", "pool", 4, 4, 9, SECOND]])) == ["executor_saturated"]
    assert "the longest for 1.00s" in world.only.text
    assert World().seconds(6, scanned(executors=[[1, "thread", "pool", 4, 4, 3, 0]])) == []
    assert World().seconds(6, scanned(executors=[[1, "thread", "pool", 2, 4, 9, 0]])) == []  # it still makes workers


def test_a_queue_that_grows(world):
    def of(per_second, stop=99):
        return lambda quarter: scanned(
            queues=[[1, "Queue of Shop", 2, min(quarter, stop * 4) * per_second // 4, 0, 0, 0]]
        )(quarter)

    assert world.seconds(8, of(20)) == ["queue_growing"]
    assert World().seconds(12, of(5)) == []
    assert World().seconds(12, of(40, stop=3)) == []  # a burst


def test_a_semaphore_whose_value_only_grows(world):
    def of(quarter):
        return scanned(semaphores=[[1, "Semaphore of gate", 2, 3 + quarter // 4, None, 0]])(quarter)

    assert world.seconds(8, of) == ["semaphore_overreleased"]
    up_and_down = World()
    assert up_and_down.seconds(12, lambda q: scanned(semaphores=[[1, "x", 2, 3 + q // 4 % 3, None, 0]])(q)) == []


def test_a_semaphore_that_its_tasks_give_back_may_grow():
    def of(value):
        return lambda quarter: scanned(semaphores=[[1, "Semaphore of gate", 2, value(quarter), None, 0]])(quarter)

    drained = World(tasks=60)
    assert drained.seconds(30, of(lambda quarter: min(quarter // 2, 60))) == []
    seldom_read = World(tasks=60)
    assert seldom_read.seconds(7, of(lambda quarter: 450 + quarter // 12 * 9)) == []


def test_a_bounded_semaphore_says_so_itself(world):
    failure = {"type": "ValueError", "message": "BoundedSemaphore released too many times", "traceback": [2]}
    world.feed(
        {
            "type": "event",
            "seq": 1,
            "at": world.at,
            "kind": "task_ended",
            "task": 1,
            "name": "x",
            "outcome": "failed",
            "exception": failure,
            "site": 1,
        }
    )
    assert world.seconds(1) == ["semaphore_overreleased"]
    assert world.only.site.line == 20


def test_a_cancellation_that_was_swallowed(world):
    assert world.seconds(1, scanned(cancelled=[[1, 1, 3]])) == []
    assert world.seconds(3, scanned(cancelled=[[1, 2, 3]])) == ["cancel_swallowed"]
    assert world.only.lines[0].site.line == 30


def cancelled(world, task, by=None, outcome="cancelled", site=1):
    at = world.at + SECOND // 4
    event = {"type": "event", "seq": 1000 + len(world.store.ended), "at": at, "kind": "task_ended", "task": task}
    facts = {"name": f"victim-{task}", "coro": "work", "outcome": outcome, "age": 10, "site": site, "parent": 6}
    world.feed({**event, **facts, **({"cancelled_by": by} if by else {})})


KILLER = {"how": "call", "task": 1, "name": "killer", "site": 2}


def test_a_task_that_was_taken_along_is_told_when_the_program_goes_on(world):
    by = {**KILLER, "asked": False, "through": 3, "through_name": "query"}
    cancelled(world, 4, by)
    assert world.seconds(1) == []
    assert world.seconds(2) == ["cancelled_by"]
    assert (
        world.only.text == "#4 victim-4 was cancelled with #3 query, which it awaited: by #1 killer at /srv/app.py:20"
    )
    assert (world.only.name, world.only.site.line, world.only.evidence["by_task"]) == ("victim-4", 20, 1)


@pytest.mark.parametrize(
    "by",
    [
        None,
        KILLER,
        {**KILLER, "asked": False},  # a future that it waited for
        {**KILLER, "through": 3},  # its own `cancel` was called, too
        {**KILLER, "task": 6, "asked": False, "through": 3},  # by the one that made it
        {"how": "timeout", "asked": False, "through": 3},
        {"how": "end"},
        {"how": "group", "task": 1},
        {"how": "", "asked": False, "through": 3},
    ],
)
def test_an_ordinary_cancellation_is_no_finding(world, by):
    for task in range(1, 46):
        cancelled(world, task, by)
    assert world.seconds(4) == []


def test_a_line_that_cancels_nearly_all_that_another_makes(world):
    for task in range(60):
        cancelled(world, task, KILLER)
    for task in range(60, 70):
        cancelled(world, task, outcome="done")
    assert world.seconds(1) == ["cancelled_by"]
    assert (world.only.site.line, world.only.evidence) == (20, {"times": 60, "share": 0.857, "by": "killer"})
    assert world.seconds(20) == []


def test_a_package_that_cancels_what_it_made_itself(world):
    own = {**KILLER, "site": 4}
    for task in range(60):
        cancelled(world, task, own, site=5)
        cancelled(world, 100 + task, {**own, "asked": False, "through": 3}, site=5)
    assert world.seconds(4) == []


@pytest.mark.parametrize(("by", "made"), [(4, 1), (2, 5)])
def test_a_package_that_cancels_tasks_of_the_program_or_the_other_way_round(world, by, made):
    for task in range(60):
        cancelled(world, task, {**KILLER, "site": by}, site=made)
    assert world.seconds(1) == ["cancelled_by"]


def test_a_line_that_cancels_many_of_more_does_what_it_should(world):
    for task in range(100):
        cancelled(world, task, KILLER if task % 3 else None, outcome="cancelled" if task % 3 else "done")
    assert world.seconds(3) == []


def test_who_swallowed_a_cancellation_is_told_with_who_cancelled(world):
    told = scanned(cancelled=[[1, 1, 3]], cancellers=[[1, {**KILLER, "task": 2}]])
    assert world.seconds(3, told) == ["cancel_swallowed"]
    assert world.only.text == "#1 task-1 was cancelled by #2 killer at /srv/app.py:20 and continued"


def test_an_exception_that_nobody_retrieved_has_the_task_and_its_site(world):
    failure = {"type": "KeyError", "message": "'x'", "traceback": [3]}
    end = {
        "type": "event",
        "seq": 1,
        "at": world.at,
        "kind": "task_ended",
        "task": 4,
        "name": "job",
        "outcome": "failed",
        "exception": failure,
        "site": 2,
    }
    world.feed(end)
    assert world.seconds(1) == []
    for seq in (2, 3):
        world.feed(
            {
                "type": "event",
                "seq": seq,
                "at": world.at,
                "kind": "unhandled",
                "message": "Task exception was never retrieved",
                "name": "job",
                "exception": failure,
            }
        )
    assert world.seconds(1) == ["never_retrieved"]
    assert (world.only.task, world.only.site.line, world.only.evidence["times"]) == (4, 20, 2)
    assert world.seconds(70) == []


def test_other_calls_of_the_exception_handler_are_no_findings(world):
    world.feed({"type": "event", "seq": 1, "at": world.at, "kind": "unhandled", "message": "Exception in callback x()"})
    assert world.seconds(2) == []


def test_a_task_that_was_collected(world):
    world.feed(
        {
            "type": "event",
            "seq": 1,
            "at": world.at,
            "kind": "unhandled",
            "message": "Task was destroyed but it is pending!",
            "task": 2,
            "name": "task-2",
            "site": 2,
        }
    )
    assert world.seconds(1) == ["collected_pending"]


def test_tasks_older_than_the_probe_that_are_collected_are_one_finding(world):
    message = "Task was destroyed but it is pending!"
    for seq in range(1, 80):
        facts = {"kind": "unhandled", "message": message, "task": 1000 + seq, "name": f"Task-{33_000 + seq}"}
        world.feed({"type": "event", "seq": seq, "at": world.at, **facts})
    assert world.seconds(1) == ["collected_pending"]
    assert world.only.text == "79 tasks were garbage-collected while pending, most recently #1079"


def test_one_line_that_raises_is_one_finding_whether_or_not_it_is_known_who_made_the_task(world):
    failure = {"type": "ValueError", "message": "declined", "traceback": [3]}
    message = "Task exception was never retrieved"
    known = {"coro": "Shop.order", "label": "GET /orders"}
    for seq, more in ((1, {}), (2, {"site": 2}), (3, known)):
        facts = {"message": message, "name": f"Task-{seq}", "exception": failure, **more}
        world.feed({"type": "event", "seq": seq, "at": world.at, "kind": "unhandled", **facts})
    assert world.seconds(1) == ["never_retrieved"]
    text = "ValueError: declined, 3 times, most recently in GET /orders; result never awaited"
    assert world.only.text == text


def test_a_coroutine_that_was_never_awaited(world):
    for seq in (1, 2, 3):
        world.feed(
            {
                "type": "event",
                "seq": seq,
                "at": world.at,
                "kind": "never_awaited",
                "coro": "fetch",
                "site": 3,
                "stack": [1, 2],
                "blame": 1,
                "text": "made here",
            }
        )
    assert world.seconds(1) == ["never_awaited"]
    assert world.only.text == "3 times, fetch() was never awaited"
    assert [line.site.line for line in world.only.lines] == [20, 30]


def slow(seq, at, milliseconds, line=2):
    return {
        "type": "event",
        "seq": seq,
        "at": at,
        "kind": "slow_callback",
        "loop": 1,
        "duration": milliseconds * 1000,
        "task": 1,
        "name": "task-1",
        "callback": "work",
        "stack": [1, line],
        "blame": 1,
        "samples": 3,
    }


def test_a_task_that_got_no_processor_did_not_keep_the_loop_busy(world):
    def rows(_):
        return {"rows": [[1, 2, 1, int(world.at - NOW + SECOND / 4) * 9 // 10, 10, 20]]}

    for second in range(1, 10):
        world.seconds(1, rows)
        world.feed({**slow(second, world.at, 900), "starved": 600_000})
    assert "task_busy" not in world.seconds(1, rows)


def test_a_line_that_blocks_the_loop(world):
    world.feed(slow(1, world.at, 200))
    world.feed(slow(2, world.at, 200))
    assert world.seconds(1) == []
    world.feed(slow(3, world.at, 200))
    assert world.seconds(1) == ["loop_blocked"]
    assert (world.only.site.line, world.only.evidence["times"]) == (20, 3)
    assert world.seconds(40) == []


def test_a_line_that_blocks_is_told_with_the_time_that_slow_has(world):
    for seq in range(1, 5):
        world.feed({**slow(seq, world.at, 200), "starved": 30_000})
    assert world.seconds(1) == ["loop_blocked"]
    assert "4 times in 1s, 800ms in all" in world.only.text
    assert world.only.evidence["blocked"] == 0.68


def test_a_loop_that_computes_is_one_cause_whichever_of_its_lines_it_is_met_at(world):
    for seq in range(6):
        world.feed(slow(seq + 1, world.at, 200, line=2 if seq % 3 else 3))
    assert world.seconds(1) == ["loop_blocked"]
    assert (world.only.site.line, world.only.evidence["times"]) == (20, 6)
    assert (world.only.lines[-1].text, world.only.lines[-1].site.line) == ("also caught here, for 400ms", 30)


def test_waiting_for_the_gil_is_blamed_on_the_thread_that_had_it(world):
    holder = {"thread": "crunch", "threads": 2, "stack": [3], "blame": 0}
    for seq in range(1, 5):
        world.feed({**slow(seq, world.at, 200), "gil": 180_000, "held_by": holder})
    assert world.seconds(1) == ["gil_wait"]
    assert world.only.text == "720ms in 4 callbacks in 1s; thread crunch and 1 more held it in work"
    assert (world.only.site.line, world.only.evidence["waited"]) == (30, 0.72)
    assert [line.site.line for line in world.only.lines] == [30, 20]


def test_the_gil_is_not_blamed_for_what_a_line_took_itself(world):
    holder = {"thread": "crunch", "threads": 1, "stack": [3], "blame": 0}
    for seq in range(1, 5):
        world.feed({**slow(seq, world.at, 200), "gil": 20_000, "held_by": holder})
    assert world.seconds(1) == ["loop_blocked"]
    assert world.only.evidence["blocked"] == 0.72


def test_a_loop_that_waits_for_the_gil_now_is_not_blocked_by_its_line(world):
    def of(quarter):
        scan = {"blocked": [[1, 1_500_000, 0, [1, 2], 1]], "gil": [[1, 1_200_000, None]]}
        return {"loops": [[1, 0, 0, 0, 0, 0, 1, 1_500_000]], "sync_scan": scan}

    assert world.seconds(1, of) == []


def test_a_loop_that_is_blocked_now_is_told_before_it_ends(world):
    def of(quarter):
        return {"loops": [[1, 0, 0, 0, 0, 0, 1, 1_500_000]], "sync_scan": {"blocked": [[1, 1_500_000, 0, [1, 2], 1]]}}

    assert world.seconds(1, of) == ["loop_blocked"]
    assert (world.only.task, world.only.site.line) == (1, 20)


def test_a_step_that_never_ends_is_reported_with_its_line_only(world):
    def of(quarter):
        busy = int(world.at - NOW + SECOND / 4)
        scan = {"blocked": [[1, busy, 0, [1, 2], 1]]} if busy > SECOND else {}
        rows = [[1, 0, 1, busy, 10, 20]]
        return {"rows": rows, "loops": [[1, 0, 0, 0, 0, 0, 1, busy]], "sync_scan": scan}

    assert world.seconds(12, of) == ["loop_blocked"]


def test_a_loop_that_was_blocked_before_is_told_with_a_lower_bound(world):
    def of(quarter):
        return {"loops": [[1, 0, 0, 0, 0, 0, None, 1_500_000]], "blocked": [[1, True, 0, [1, 2], 1]]}

    assert world.seconds(1, of) == ["loop_blocked"]
    assert world.only.site.line == 20
    assert world.only.text.endswith("has been blocking the loop for at least 1.50s")
    world.feed({**slow(1, world.at, 2000), "at_least": True})
    world.seconds(1)
    assert any("at least 2.00s" in finding.observed.text for finding in world.findings.all())


def test_a_loop_that_waits_for_a_processor_is_not_blocked_by_a_line(world):
    def of(quarter):
        return {"loops": [[1, 0, 0, 0, 0, 0, 1, 1_500_000]], "blocked": [[1, True, 1_400_000, [1, 2], 1]]}

    assert world.seconds(3, of) == []


def test_timers_that_pile_up(world):
    def of(per_second):
        return lambda quarter: {"loops": [[1, 0, 0, 0, quarter * per_second // 4, 0, None, 0]]}

    assert world.seconds(8, of(100)) == ["timers_piling_up"]
    assert World().seconds(8, of(10)) == []


def test_memory_that_grows_without_a_pause(world):
    def of(mib_per_s, pause=0):
        def at(quarter):
            second = quarter // 4
            grown = second if not pause else second // pause * pause
            return {"process": {"rss": (100 + grown * mib_per_s) << 20, "cpu": 0}} if quarter % 4 == 0 else {}

        return at

    assert world.seconds(20, of(3)) == ["memory_growing"]
    assert World().seconds(20, of(1)) == []
    assert World().seconds(30, of(3, pause=10)) == []


def test_the_samples_that_the_kinds_name_are_there():
    from sample_apps.catalogue import names

    known = set(names())
    assert {name for kind in KINDS for name in (kind.sample, kind.fix) if name} <= known


def test_samples_and_findings_speak_of_the_same_kinds():
    from typing import get_args

    from sample_apps.vocabulary import Problem

    assert set(get_args(Problem)) == set(BY_KEY)


def past(world, fds, steps=0):
    """Feeds what a probe remembers: descriptors of each second, up to now."""
    begin = world.at - len(fds) * SECOND
    rows = {"type": "history", "step": SECOND, "from": begin}
    tasks = {name: [2] * len(fds) for name in ("running", "scheduled", "waiting")}
    world.feed({**rows, "loop": 0, "columns": {"fds": fds, **tasks}})
    world.feed({**rows, "loop": 1, "columns": {"steps": [steps] * len(fds)}})


def test_what_is_judged_by_a_longer_past_only_is_said(world):
    world.seconds(1)
    assert world.findings.not_judged == ""  # it remembers nothing
    past(world, [12] * 180)
    world.seconds(1)
    assert world.findings.not_judged == "slow growth is judged after 10m00s (3m00s so far)"
    past(world, [12] * 600)
    world.seconds(1)
    assert world.findings.not_judged == ""


def process(fds, most=1024):
    return lambda quarter: {"process": {"fds": fds, "fds_most": most}}


GREW = [12] * 20 + list(range(12, 412, 20))


def test_descriptors_that_grew_and_stand_while_nothing_happens(world):
    past(world, GREW + [412] * 40)
    assert world.seconds(3, process(412)) == ["stands_high"]
    assert world.only.text == "412 descriptors are open (limit 1024), up from 12, and nothing happens"


@pytest.mark.parametrize(
    ("values", "steps", "fds"),
    [
        (GREW, 0, 412),  # still growing
        (GREW + [412] * 10, 0, 412),  # not for long
        (GREW + [412] * 40, 500, 412),  # they are used
        ([412] * 90, 0, 412),  # it was always so
        ([12] * 10 + [412] * 5 + [12] * 5 + [412] * 40, 0, 412),  # they come and go
        ([12] * 20 + [60] * 40, 0, 60),  # few
    ],
)
def test_descriptors_that_are_not_left_over(world, values, steps, fds):
    past(world, values, steps)
    assert world.seconds(3, process(fds)) == []


def test_descriptors_near_their_limit_without_a_past(world):
    assert world.seconds(3, process(700)) == []
    assert world.seconds(3, process(900)) == ["stands_high"]


def leaking(world, values, births, site=1, steps=3):
    """Feeds tasks of each second of the past, and one task for each birth, in seconds before now."""
    columns = {"tasks": [round(value) for value in values]}
    begin = world.at - len(values) * SECOND
    world.feed({"type": "history", "step": SECOND, "from": begin, "loop": 0, "columns": columns})
    numbers = list(range(100, 100 + len(births)))
    facts = [
        [n, f"Task-{n}", 3, 1, world.at - round(before * SECOND), None, 0, site, 0]
        for n, before in zip(numbers, births, strict=True)
    ]
    world.feed({"type": "static", "tasks": facts})
    world.tick(rows=[[n, 2, steps, 10, 10, 20] for n in numbers])


def test_tasks_that_become_more_slowly(world):
    leaking(world, [6 + second / 2 for second in range(600)], [second / 2 * 4 for second in range(300)])
    assert world.seconds(1) == ["tasks_growing"]
    text = "306 tasks of work() are alive, 300 more than 10 min ago, steadily"
    assert (world.only.text, world.only.site.line) == (text, 10)


@pytest.mark.parametrize(
    ("values", "births", "steps"),
    [
        ([6 + second / 2 for second in range(590)], [second * 2 for second in range(295)], 3),  # not for long enough
        (
            [6 + second / 2 for second in range(600)],
            [second / 100 for second in range(300)],
            3,
        ),  # load grows: all young
        ([306] * 600, [second * 2 for second in range(300)], 3),  # as many end
        ([306 - 300 * 0.99**second for second in range(600)], [second * 2 for second in range(300)], 3),  # it fills up
        ([6 + 100 * (second // 200) for second in range(600)], [second * 2 for second in range(300)], 3),  # in bursts
        ([6 + second / 2 for second in range(600)], [second * 2 for second in range(300)], 60),  # they work
        ([6 + second / 20 for second in range(600)], [second * 20 for second in range(30)], 3),  # few
    ],
)
def test_tasks_that_stay_in_a_right_program(world, values, births, steps):
    leaking(world, values, births, steps=steps)
    assert world.seconds(1) == []
