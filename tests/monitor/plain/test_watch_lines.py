"""`looptop watch`: what is printed of what comes, and that it ends when it should."""

import json
from itertools import chain

import msgspec
import pytest
from fake_probe import NOW, event, hello, serve, static, tick

from monitor.cli.watch import KINDS
from monitor.findings.rules.engine import Findings
from monitor.plain.event_lines import line
from monitor.plain.findings import watched
from monitor.plain.objects import dump
from monitor.plain.stream import ONLY, Ordered, Stream, wanted, watch
from monitor.protocol import frames
from monitor.transport.address import Address
from monitor.transport.connection import connect

EXCEPTION = {"type": "ValueError", "message": "boom\nsecond line", "traceback": [1, 2]}
SLOW = event(
    1,
    "slow_callback",
    loop=1,
    duration=250_000,
    task=2,
    name="[/x]",
    callback="worker()",
    stack=[1, 2, 3],
    blame=1,
    samples=4,
)
ENDED = event(
    2,
    "task_ended",
    task=9,
    name="job",
    coro="job",
    outcome="failed",
    exception=EXCEPTION,
    age=5,
    busy=3,
    steps=2,
    site=2,
)
UNHANDLED = event(3, "unhandled", message="Task exception was never retrieved", exception=EXCEPTION, task=9, name="job")


def stream_of(*told, past=False):
    stream = Stream(past=past)
    made = []
    for frame in (hello(), static(), *told):
        made += stream.take(frames.decode(msgspec.json.encode(frame)))
    return made


def test_a_slow_callback():
    (made,) = stream_of(SLOW)
    assert made == {
        "type": "slow_callback",
        "label": None,
        "time": (NOW + 1000) / 1e6,
        "duration": 0.25,
        "at_least": False,
        "starved": 0.0,
        "gil": 0.0,
        "held_by": None,
        "reasons": {"own": 0.25, **dict.fromkeys(("io", "gc", "gil", "cpu", "throttled", "import", "faults"), 0.0)},
        "loop": 1,
        "task": 2,
        "name": "[/x]",
        "callback": "worker()",
        "line": {"file": "/srv/app.py", "line": 42, "function": "worker"},
        "stack": [
            {"file": "/srv/app.py", "line": 10, "function": "main"},
            {"file": "/srv/app.py", "line": 42, "function": "worker"},
            {"file": "/usr/lib/python3.11/asyncio/locks.py", "line": 115, "function": "acquire"},
        ],
    }
    assert line(made).endswith("slow_callback  250ms  /srv/app.py:42 worker  in #2 [/x]")


def test_a_slow_callback_that_waited_for_the_gil():
    holder = {"thread": "crunch", "threads": 1, "stack": [2], "blame": 0}
    (made,) = stream_of({**SLOW, "gil": 200_000, "held_by": holder})
    assert made["gil"] == 0.2
    assert (made["held_by"]["thread"], made["held_by"]["line"]["line"]) == ("crunch", 42)
    assert "in #2 [/x]  waited 200ms for the GIL: thread crunch had it at /srv/app.py:42 worker" in line(made)


def test_where_the_time_of_a_slow_callback_went():
    (made,) = stream_of({**SLOW, "starved": 10_000, "io": 180_000, "gc": 30_000, "importing": 2_000})
    assert sum(made["reasons"].values()) == pytest.approx(0.25)
    assert made["reasons"]["own"] == pytest.approx(0.028)
    assert line(made).endswith(
        "blocking calls 180ms, garbage collection 30.0ms, own code 28.0ms, waiting for a processor 10.0ms"
    )


def test_a_slow_callback_that_began_before_anybody_watched():
    (made,) = stream_of({**SLOW, "at_least": True})
    assert (made["duration"], made["at_least"]) == (0.25, True)
    assert line(made).endswith("slow_callback  ≥250ms  /srv/app.py:42 worker  in #2 [/x]")


def test_a_slow_callback_that_was_over_before_it_was_caught():
    (made,) = stream_of(event(1, "slow_callback", loop=1, duration=100_000, callback="tick()", stack=[], blame=-1))
    assert (made["stack"], made["line"], made["task"], made["name"]) == ([], None, None, None)
    assert line(made).endswith("100ms  over before it was caught  in tick()")


def test_the_end_of_a_task():
    (made,) = stream_of(ENDED)
    assert made["exception"] == {"type": "ValueError", "message": "boom\nsecond line"}
    assert (made["outcome"], made["age"], made["busy"], made["steps"]) == ("failed", 5e-06, 3e-06, 2)
    assert [site["line"] for site in made["traceback"]] == [10, 42]
    assert "\n" not in line(made)
    assert "failed     #9 job  ValueError: boom" in line(made)


def test_what_nobody_handled():
    (made,) = stream_of(UNHANDLED)
    assert made["message"] == "Task exception was never retrieved"
    assert line(made).endswith("Task exception was never retrieved  ValueError: boom  in #9 job")


def test_each_loop_once_a_second_with_its_worst_lag():
    ticks = []
    for number in range(9):
        row = [1, 90_000 if number == 2 else 100, number * 100_000, 1, 2, number * 10, None, 0]
        ticks.append(tick(NOW + number * 250_000, loops=[row]))
    made = stream_of(*ticks)
    assert [thing["type"] for thing in made] == ["loop", "loop"]
    assert made[0] == {
        "type": "loop",
        "time": (NOW + 1_000_000) / 1e6,
        "loop": 1,
        "lag": 0.09,
        "utilization": 0.4,
        "ready": 1,
        "timers": 2,
        "steps_per_s": 40.0,
    }
    assert made[1]["lag"] == 0.0001
    assert "loop 1  lag 90.0ms  utilization 40%  40 steps/s  ready 1  timers 2" in line(made[0])


def test_loops_of_the_time_before_by_the_second_and_older_ones_by_ten():
    def rows(step, start, *lags):
        columns = {"lag": lags, "utilization": [500] * len(lags), "ready": [-1] * len(lags), "steps": [7] * len(lags)}
        return {
            "type": "history", "loop": 1, "step": step * 1_000_000, "from": NOW + start * 1_000_000, "columns": columns
        }  # fmt: skip

    told = rows(1, -3, 10, -1, 30, 40), rows(10, -23, 900_000, 800_000, 700_000)
    assert stream_of(*told) == [], "only with --past: otherwise it is for findings"
    made = stream_of(*told, past=True)
    found = [(round(thing["time"] - NOW / 1e6), thing["lag"]) for thing in made]
    assert found == [(-2, 0.00001), (0, 0.00003), (-13, 0.9), (-3, 0.8)]
    assert made[0]["past"] is True and made[0]["utilization"] == 0.5
    assert made[0]["ready"] is None and made[0]["steps_per_s"] == 7
    assert "past" in line(made[0])


def test_events_that_come_twice_are_printed_once():
    assert len(stream_of(SLOW, SLOW, ENDED, SLOW)) == 2


def test_what_was_dropped_is_told():
    made = stream_of(SLOW, {**ENDED, "seq": 12})
    assert [thing["type"] for thing in made] == ["slow_callback", "notice", "task_ended"]
    assert made[1]["text"] == "10 events were dropped"
    assert stream_of(SLOW, {**ENDED, "seq": 3})[1]["text"] == "1 event was dropped"


def test_what_was_not_asked_for_is_no_loss():
    made = stream_of(SLOW, {**ENDED, "seq": 12, "skipped": 10}, {**UNHANDLED, "seq": 20, "skipped": 6})
    assert [thing["text"] for thing in made if thing["type"] == "notice"] == ["1 event was dropped"]


def test_findings_sum_up_what_was_dropped():
    told = [{"type": "notice", "time": 1.0, "text": f"{n} events were dropped", "dropped": n} for n in (2, 2, 3)]
    told.insert(1, {"type": "notice", "time": 1.0, "text": "closed"})
    assert watched(told, Findings()).notes == ["closed", "7 events were dropped"]


def test_a_busy_server_does_not_say_so_at_every_tick():
    made = stream_of(*(event(10 * n, "notice", text="x") for n in range(1, 50)))
    told = [thing["text"] for thing in made if thing["text"] != "x"]
    assert told == ["9 events were dropped"]


def test_ends_without_a_name_are_told_by_number():
    told = {"cpu": 10, "hooks": 5, "viewers": 1, "tasks": 3, "dropped_at": None, "off": []}
    made = stream_of(*(
        tick(NOW + 250_000 * n, loops=[], probe={**told, "dropped": 900 * n, "unnamed": 900 * n}) for n in range(1, 50)
    ))  # fmt: skip
    assert [thing["text"].split(":")[0] for thing in made] == [
        "36,000 more tasks ended well",
    ]
    assert watched(made, Findings()).notes == [], "looptop findings prints no ends, and says nothing of those"
    assert [wanted(made[0], only) for only in ((), ("ended",), ("slow", "failed"))] == [True, True, False]


def test_only_what_is_asked_for():
    made = stream_of(SLOW, ENDED, {**UNHANDLED, "seq": 4}, event(5, "task_ended", task=10, outcome="done"))

    def left(*only):
        return [thing["type"] for thing in made if wanted(thing, only)]

    assert left() == ["slow_callback", "task_ended", "notice", "unhandled", "task_ended"]
    assert left("slow") == ["slow_callback", "notice"]
    assert left("failed") == ["task_ended", "notice", "unhandled"]
    assert left("ended", "failed") == ["task_ended", "notice", "unhandled", "task_ended"]
    assert left("loop", "finding") == ["notice"]
    assert left("slow_callback") == ["slow_callback", "notice"]
    assert left("task_ended", "failed") == left("ended", "failed")
    assert {*ONLY, *chain(*ONLY.values())} == set(KINDS), "each kind and type is taken"
    assert all(wanted(one, ["task_ended"]) for one in ({"type": "notice", "about": "ended"}, {"type": "task_ended"}))


def test_notices_of_the_probe():
    (made,) = stream_of(event(1, "notice", text="steps: switched off"))
    assert made["text"] == "steps: switched off"
    assert "steps: switched off" in line(made)


def test_kinds_that_nobody_knows_yet():
    assert stream_of(event(1, "earthquake", text="x")) == []


@pytest.fixture
def connection(tmp_path, probe_at):
    def make(behave):
        probe_at(tmp_path / "s", behave)
        return connect(Address(path=str(tmp_path / "s")))

    return make


def ordered(*told):
    stream = Ordered(Stream())
    made = []
    for frame in (hello(), static(), *told):
        made += stream.take(frames.decode(msgspec.json.encode(frame)))
    return made, stream.rest()


def test_a_callback_that_blocks_now_is_told_once_and_again_when_it_ends():
    def blocks(at, lasted, stack=(1, 2), **changes):
        row = [1, 0, 0, 0, 0, 1, 2, round(lasted * 1e6)]
        blocked = [[1, True, 0, list(stack), len(stack) - 1]] if lasted else []
        return tick(NOW + round(at * 1e6), loops=[row], blocked=blocked, **changes)

    long = [blocks(0.25 * n, 12 + 0.25 * n) for n in range(1, 9)]
    made = [thing for thing in stream_of(*long, SLOW) if wanted(thing, ("worker", "slow"))]
    assert [thing["type"] for thing in made] == ["blocked", "slow_callback"]
    assert line(made[0]).endswith("blocked        for at least 12.2s by now at /srv/app.py:42 worker  in #2 worker-1")
    assert (made[0]["duration"], made[0]["at_least"], made[0]["loop"], made[0]["line"]["line"]) == (12.25, True, 1, 42)
    dump(made[0])

    def told(*ticks):
        return [thing["duration"] for thing in stream_of(*ticks) if thing["type"] == "blocked"]

    assert told(blocks(0.25, 0.25), blocks(0.5, 0.5), blocks(0.75, 0.75)) == [], "it is told when it ends"
    assert told(*(blocks(n, n) for n in range(1, 4)), blocks(4, 0), *(blocks(n, n - 4) for n in range(5, 8))) == [1, 1]
    assert told(blocks(5, 5), blocks(7, 1.5)) == [5, 1.5], "another one, between two ticks"
    assert told(blocks(5, 5, []), blocks(5.25, 5.25), blocks(5.5, 5.5)) == [5.25], "with its line"
    assert told(*(blocks(5 + n / 4, 5 + n / 4, []) for n in range(9))) == [6], "or without, if none is caught"


def test_what_is_reported_late_is_printed_in_its_place():
    def ends(seq, after):
        return event(seq, "task_ended", at=NOW + after, task=seq, name="t", coro="t", outcome="done")

    def at(quarter):
        return tick(NOW + quarter * 250_000, loops=[])

    late = {**SLOW, "seq": 4, "at": NOW + 240_000}
    made, rest = ordered(at(0), ends(2, 250_000), ends(3, 100_000), at(1), late, at(2), at(3), ends(5, 600_000))
    assert [thing["time"] for thing in made] == [(NOW + us) / 1e6 for us in (100_000, 240_000, 250_000)]
    assert [thing["task"] for thing in rest] == [5]


def test_a_program_that_falls_silent(connection):
    def behave(peer):
        peer.send(hello())
        peer.read()
        peer.send(static(), tick(), ENDED)
        peer.read_until_closed()

    things = watch(connection(behave), 60, None)
    assert next(things)["type"] == "task_ended"
    things.close()


def test_it_ends_when_the_program_does(connection):
    def behave(peer):
        peer.send(hello())
        assert peer.read() == {
            "type": "watch", "rate": 4, "rows": True, "events": True, "findings": True, "slow": 200_000,
        }  # fmt: skip
        peer.send(static(), SLOW)

    made = list(watch(connection(behave), None, 0.2))
    assert [thing["type"] for thing in made] == ["slow_callback", "notice"]
    assert "the program has ended" in made[1]["text"]
    assert json.loads(dump(made[0]))["duration"] == 0.25


def test_it_ends_when_the_time_is_over(connection):
    def behave(peer):
        peer.send(hello())
        serve(peer, events=[SLOW])

    made = list(watch(connection(behave), 0.3, None))
    assert [thing["type"] for thing in made] == ["slow_callback"]


def test_a_task_that_only_asyncio_has_named_is_called_by_its_coroutine():
    (ended,) = stream_of({**ENDED, "name": "Task-9"})
    assert "  #9 job()  " in line(ended)
    assert ended["name"] == "Task-9"
    (slow,) = stream_of({**SLOW, "name": "Task-2"})
    assert line(slow).endswith("in #2 worker()")


def test_a_time_just_before_a_full_second_is_not_a_second_early():
    notice = {"type": "notice", "text": "x"}
    early, late = (line({**notice, "time": NOW // 1_000_000 + part}).split()[0] for part in (0.9994, 0.9996))
    assert early.endswith(".999")
    assert late == line({**notice, "time": NOW // 1_000_000 + 1}).split()[0]
