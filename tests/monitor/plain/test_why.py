"""`looptop why`: which tasks it explains, of one program and of several, from frames that are written down."""

import sys
from base64 import b64encode

import msgspec
import pytest
from fake_probe import NOW, hello, static, tick

from monitor.errors import UsageError
from monitor.metrics import otlp, prometheus
from monitor.plain import many_why
from monitor.plain.parquet import export
from monitor.plain.why import WhyOptions, why, why_lines, why_object
from monitor.protocol import frames
from monitor.trace.collect import Trace
from monitor.trace.events import EVENT, UNIT, Kind
from monitor.trace.parts import gaps

SECOND = 1_000_000
STEPS = {"type": "steps", "from": 0, "to": 4, "lost": 0, "objects": []}


def units(seconds):
    return round(seconds * 1e9 / UNIT)


def piece(*events):
    """A piece of a ring that begins at NOW; an event is kind, start, time run, time queued, task, waker."""
    data = EVENT.pack(0, 0, 0, 0, 0)
    for kind, at, ran, queued, task, waker in events:
        data += EVENT.pack(units(at), units(ran) | kind << 28, units(queued) | 1 << 28, task, waker)
    places = {"from": 0, "items": [0]}
    return {**STEPS, "offset": NOW, "places": places, "events": b64encode(data).decode()}


def trace_of(*told):
    trace = Trace()
    for frame in (hello(capabilities=["steps"]), static(), *told):
        trace.take(frames.decode(msgspec.json.encode(frame)))
    return trace


def life(task, seconds):
    """The whole life of a task that ran all the time."""
    return ((Kind.BORN, 0, 0, 0, task, 0), (Kind.STEP_BORN, 0, seconds, 0, task, 0), (Kind.END, seconds, 0, 0, task, 0))


def test_a_group_that_is_not_there_is_refused_like_a_task_that_is_not():
    trace = trace_of(piece(*life(2, 0.5)), tick(NOW + SECOND))
    with pytest.raises(UsageError, match="task 99 did nothing meanwhile"):
        why(trace, WhyOptions(task=99))
    with pytest.raises(UsageError, match="no task of nosuch ran meanwhile"):
        why(trace, WhyOptions(group="nosuch"))
    with pytest.raises(UsageError, match="no task of nosuch ran meanwhile"):
        many_why.why([((0, 10), trace), ((1, 11), trace)], WhyOptions(group="nosuch"))
    assert [reason.life.id for reason in why(trace, WhyOptions(group="main")).reasons] == [1], "it waits all the time"


def test_requests_come_before_the_connections_that_carry_them():
    """A connection that is kept open is older than any of its requests, and nobody asks why."""
    trace = trace_of(piece(*life(3, 0.25), *life(2, 0.5)), tick(NOW + SECOND))
    assert [reason.life.id for reason in why(trace, WhyOptions()).reasons] == [2, 3]
    trace.timeline.life(3).label = "GET /"
    found = why(trace, WhyOptions())
    assert ([reason.life.id for reason in found.reasons], len(found.notes)) == ([3], 1)
    found = why(trace, WhyOptions(group=trace.timeline.life(2).coro))
    assert ([reason.life.id for reason in found.reasons], found.notes) == ([2, 3], [])


def test_long_waits_without_a_line_are_counted():
    step, waits, wait = (
        (Kind.STEP_TIMER, 0.5, 0.1, 0, 2, 0),
        (Kind.STEP_TIMER, 0.7, 0.1, 0, 2, 0),
        (Kind.WAIT, 0.7, 0, 0, 2, 0),
    )
    short = (Kind.STEP_TIMER, 0.8005, 0.1, 0, 2, 0)
    assert why(trace_of(piece(step, wait, waits, short), tick(NOW + SECOND)), WhyOptions(task=2)).notes == []
    (note,) = why(trace_of(piece(step, waits, short), tick(NOW + SECOND)), WhyOptions(task=2)).notes
    assert note.startswith("1 of 1 waits of 1 ms and more have no line")


def blocked(at, since, least):
    """A tick at a time: task 2 has blocked its loop since another one."""
    row = [1, 0, 0, 0, 0, 1, 2, round((at - since) * SECOND)]
    return tick(NOW + round(at * SECOND), loops=[row], blocked=[[1, least, 0, [2], 0]])


def shares(reason):
    assert gaps(reason.parts) == 0
    return [(part.kind, part.duration / 1e9) for part in reason.parts]


@pytest.mark.parametrize("least", [True, False])
def test_a_step_that_has_not_ended_has_run(least):
    """The ring has a step when it ends: of one that blocks the loop for minutes it has nothing."""
    trace = trace_of(blocked(12, 0, least))
    for options in (WhyOptions(task=2), WhyOptions()):
        (reason,) = why(trace, options).reasons
        assert shares(reason) == [("unknown", 4.0), ("ran", 12.0)]  # it was born 4 s before NOW
        bound = "at least " if least else ""
        lines = why_lines(why(trace, options), 100, False)
        assert (
            lines[1]
            == f"  ran        12.0 s  1 step, longest {bound}12.0 s at app.py:42 worker; the last one still runs"
        )
        part = why_object(why(trace, options))["tasks"][0]["parts"][-1]
        assert (part["kind"], part["running"], part["at_least"], part["at"]["line"]) == ("ran", True, least, 42)

    # Later ticks extend it, and its end replaces it.
    trace.take(frames.decode(msgspec.json.encode(blocked(13, 0, least))))
    assert shares(why(trace, WhyOptions(task=2)).reasons[0])[-1] == ("ran", 13.0)
    for frame in (piece((Kind.STEP_BORN, 0, 14, 0, 2, 0)), tick(NOW + 14 * SECOND)):
        trace.take(frames.decode(msgspec.json.encode(frame)))
    assert [part.running for part in why(trace, WhyOptions(task=2)).reasons[0].parts if part.kind == "ran"] == [False]


def test_what_still_runs_comes_after_what_the_ring_holds():
    waking = (Kind.WAIT, 2, 0, 0, 2, 0)
    steps = piece((Kind.BORN, 0, 0, 0, 2, 0), (Kind.STEP_BORN, 0.5, 0.5, 0.5, 2, 0), waking)
    (reason,) = why(trace_of(steps, blocked(5, 3, False)), WhyOptions(task=2)).reasons
    assert shares(reason) == [("queued", 0.5), ("ran", 0.5), ("waited", 1.0), ("queued", 1.0), ("ran", 2.0)]
    # The wait is not described: whether it waited or was ready until then is not known.
    steps = piece((Kind.BORN, 0, 0, 0, 2, 0), (Kind.STEP_BORN, 0.5, 0.5, 0.5, 2, 0))
    (reason,) = why(trace_of(steps, blocked(5, 3, False)), WhyOptions(task=2)).reasons
    assert shares(reason) == [("queued", 0.5), ("ran", 0.5), ("unknown", 2.0), ("ran", 2.0)]
    # The tick is older than the end of the step.
    steps = piece((Kind.BORN, 0, 0, 0, 2, 0), (Kind.STEP_BORN, 0.5, 5, 0.5, 2, 0))
    (reason,) = why(trace_of(blocked(5, 0.5, False), steps), WhyOptions(task=2)).reasons
    assert shares(reason) == [("queued", 0.5), ("ran", 5.0)]


def test_the_slowest_of_a_group_of_all_workers_are_summed_up():
    workers = [((number, 10 + number), trace_of(piece(*life(2, 0.25 * (number + 1))))) for number in range(2)]
    other = trace_of(piece())
    other.store.tasks.clear()  # it has no task of the group
    workers.append(((2, 12), other))
    found = many_why.why(workers, WhyOptions(group="worker-1"))
    made = many_why.why_object(found)
    assert (made["group"]["group"], made["group"]["tasks"]) == ("worker-1", [2, 2])
    assert (made["group"]["age"], made["group"]["ran"]) == (0.75, 0.75)
    lines = many_why.why_lines(found, 100, False)
    assert lines[0] == "worker-1: the 2 slowest, 750 ms together"
    assert [line for line in lines if line.startswith("worker ")] == ["worker 1 (11)", "worker 0 (10)"]


def test_a_missing_extra_is_not_the_status_of_something_found_bad(monkeypatch, tmp_path):
    for name in ("prometheus_client", "duckdb", "opentelemetry.sdk.metrics"):
        monkeypatch.setitem(sys.modules, name, None)
    for what in (
        lambda: prometheus.text(list),
        lambda: otlp.Exporter("http://127.0.0.1:1", "x", "1"),
        lambda: export([], tmp_path / "night"),
    ):
        with pytest.raises(UsageError, match="pip install 'looptop"):
            what()


def test_what_a_program_remembers_is_whole_when_nothing_is_left() -> None:
    def piece(left: int) -> frames.Steps:
        return frames.Steps(offset=0, from_=0, to=0, left=left)

    tick = frames.Tick(at=1, probe=frames.Probe())
    busy, resting = Trace(), Trace()
    for frame, whole in ((tick, False), (piece(9000), False), (tick, False), (tick, False), (piece(0), True)):
        busy.take(frame)
        assert busy.is_whole == whole
    busy.take(piece(100))
    assert busy.is_whole, "those are new ones"
    resting.take(tick)
    assert not resting.is_whole, "pieces come after the first tick"
    resting.take(tick)
    assert resting.is_whole
