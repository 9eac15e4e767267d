"""Writes a step trace for ui.perfetto.dev: a track per task, a slice per step, flow arrows from waker to woken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.recording import packets
from monitor.trace.events import Kind
from monitor.trace.explain import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.store.model import Site
    from monitor.trace.collect import Trace
    from monitor.trace.timeline import Life, Run, Timeline

PROCESS, TASKS, GC = 1, 3, 4
_PROCESS = 44
"""Bits of the numbers of tracks and flows of one process."""
_CALLBACKS, _SLOW, _LAG, _UTILIZATION, _TASK = 5 << 40, 1 << 40, 2 << 40, 3 << 40, 4 << 40
_WAKES = {
    Kind.STEP_TASK: "task",
    Kind.STEP_SELF: "itself",
    Kind.STEP_BORN: "its creator",
    Kind.STEP_TIMER: "timer",
    Kind.STEP_SOON: "callback",
    Kind.STEP_HANDLE: "descriptor, thread or signal",
    Kind.STEP_OUTSIDE: "not known",
}


def packets_of(trace: Trace, since: int = 0, number: int = 0) -> Iterator[bytes]:
    """Yield the trace in pieces, without what ended before `since` (ns). `number`: number of the process in a set."""
    shift = number << _PROCESS
    timeline = trace.timeline
    begin = max(timeline.begin, since)
    yield packets.first(begin // 1000)
    session = trace.store.session
    program = "" if session is None else session.program
    name = session.name if session is not None and session.name else program
    what = packets.process(0 if session is None else session.pid, program, name)
    yield packets.track(shift + PROCESS, name, what, ordering=packets.EXPLICIT)
    yield packets.track(shift + TASKS, "tasks", parent=shift + PROCESS, rank=100, ordering=packets.CHRONOLOGICAL)
    events = packets.Events()
    yield from _loops(trace, events, begin, shift)
    if timeline.collections:
        yield packets.track(shift + GC, "garbage collection", parent=shift + PROCESS, rank=9)
        until = 0
        for found in sorted(timeline.collections, key=lambda found: found.start):
            if found.end > begin and found.start >= until:
                yield events.packet(packets.BEGIN, found.start / 1000, shift + GC, f"generation {found.generation}", {})
                yield packets.end(found.end / 1000, shift + GC)
                until = found.end
    flows = _flows(timeline, begin, shift)
    for life in timeline.lives.values():
        yield from _task(life, events, flows, begin, timeline.end, shift)
    for loop, runs in timeline.runs.items():
        yield from _callbacks(loop, runs, events, flows, begin, shift)


def _flows(timeline: Timeline, begin: int, shift: int) -> dict[int, tuple[list[int], list[int]]]:
    """Return, by identity of a run, the flows that begin in it and those that end there."""
    flows: dict[int, tuple[list[int], list[int]]] = {}
    number = shift
    for loop, runs in timeline.runs.items():
        for run in runs:
            if (
                run.start < begin
                or run.ready is None
                or run.kind in (Kind.STEP_SELF, Kind.CALL_TIMER, Kind.CALL_HANDLE)
            ):
                continue
            waker = timeline.running_at(loop, run.ready)
            if waker is None or waker is run or waker.start < begin:  # is not drawn
                continue
            number += 1
            flows.setdefault(id(waker), ([], []))[0].append(number)
            flows.setdefault(id(run), ([], []))[1].append(number)
    return flows


def _loops(trace: Trace, events: packets.Events, begin: int, shift: int) -> Iterator[bytes]:
    timeline = trace.timeline
    numbers = sorted(set(timeline.runs) | {loop.id for loop in trace.store.loops.values()})
    process = shift + PROCESS
    for rank, loop in enumerate(numbers):
        place = 10 + 10 * rank
        yield packets.track(shift + _SLOW + loop, f"loop {loop}: slow callbacks", parent=process, rank=place)
        yield packets.track(shift + _CALLBACKS + loop, f"loop {loop}: callbacks", parent=process, rank=place + 1)
        counter = packets.counter(packets.NANOSECONDS)
        yield packets.track(shift + _LAG + loop, f"loop {loop} lag", counter, parent=process, rank=place + 2)
        counter = packets.counter(packets.COUNT)
        yield packets.track(
            shift + _UTILIZATION + loop, f"loop {loop} utilization %", counter, parent=process, rank=place + 3
        )
    for at, loop, lag, utilization in trace.counters:
        if at * 1000 >= begin:
            yield packets.value(at, shift + _LAG + loop, lag * 1e9)
            if utilization is not None:
                yield packets.value(at, shift + _UTILIZATION + loop, round(utilization * 100, 3))
    ends: dict[int, int] = {}
    for blocked in sorted(timeline.blocked, key=lambda blocked: blocked.start):
        start = max(blocked.start, ends.get(blocked.loop, 0))
        if blocked.end <= max(start, begin):
            continue
        ends[blocked.loop] = blocked.end
        life = timeline.lives.get(blocked.task)
        who = life.title if life is not None else "callback"
        title = f"{who} at {_line(blocked.at)}" if blocked.at is not None else who
        facts: dict[str, object] = {"task": blocked.task or None, "stack": [_line(site) for site in blocked.stack]}
        yield events.packet(packets.BEGIN, start / 1000, shift + _SLOW + blocked.loop, title, facts, blocked.stack)
        yield packets.end(blocked.end / 1000, shift + _SLOW + blocked.loop)


def _task(
    life: Life, events: packets.Events, flows: dict[int, tuple[list[int], list[int]]], begin: int, end: int, shift: int
) -> Iterator[bytes]:
    born = life.born if life.born is not None else (life.steps[0].start if life.steps else None)
    gone = life.ended if life.ended is not None else end
    if born is None or gone < begin:
        return
    uuid = shift + _TASK + life.id
    yield packets.track(uuid, life.title[:200], parent=shift + TASKS)
    facts: dict[str, object] = {
        "task": life.id,
        "coroutine": life.coro,
        "created at": _line(life.site),
        "parent": life.parent or None,
        "outcome": life.outcome or None,
    }
    until = max(born, begin)
    yield events.packet(packets.BEGIN, until / 1000, uuid, life.coro or life.title, facts)
    waits = {wait.at: wait for wait in life.waits}
    for step in life.steps:
        if step.end < begin or step.start < until:
            continue
        wait = waits.get(step.ready) if step.ready is not None else None
        facts = {
            "woken by": _WAKES.get(step.kind),
            "by task": step.waker or None,
            "queued": None if step.ready is None else duration(step.start - step.ready),
            "line": _line(step.site) if step.running else None,
        }
        if wait is not None:
            facts["waited at"] = _line(wait.users)
            facts["in"] = _line(wait.innermost)
            facts["woken at"] = _line(wait.waking)
        began, ended = flows.get(id(step), ([], []))
        yield events.packet(packets.BEGIN, step.start / 1000, uuid, "step", facts, (), began, ended)
        until = max(min(step.end, gone), step.start)
        yield packets.end(until / 1000, uuid)
    yield packets.end(max(gone, until) / 1000, uuid)


def _callbacks(
    loop: int,
    runs: list[Run],
    events: packets.Events,
    flows: dict[int, tuple[list[int], list[int]]],
    begin: int,
    shift: int,
) -> Iterator[bytes]:
    until = begin
    for run in runs:
        if run.task or run.start < until:
            continue
        until = run.end
        name = run.site.function if run.site is not None else "callback"
        facts: dict[str, object] = {"kind": run.kind.name.removeprefix("CALL_").lower(), "line": _line(run.site)}
        began, ended = flows.get(id(run), ([], []))
        yield events.packet(packets.BEGIN, run.start / 1000, shift + _CALLBACKS + loop, name, facts, (), began, ended)
        yield packets.end(run.end / 1000, shift + _CALLBACKS + loop)


def _line(site: Site | None) -> str | None:
    return None if site is None else f"{site.file}:{site.line} {site.function}"
