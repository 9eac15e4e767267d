"""A store as one frame: how a recording can be entered anywhere. `restored` is the way back.

What is carried is all of the store, exactly: times and durations are counted in microseconds, as on the wire, and
become the same floats again. What depends on the past (events, series) is in `history`, which may be left out.
A new attribute of the store belongs here too; tests/monitor/recording compares them all.
"""
# ruff: noqa: SLF001 - this is the store's own business, in a file of its own

from __future__ import annotations

from itertools import starmap
from typing import TYPE_CHECKING, Any

from monitor.protocol import frames, keyframes
from monitor.protocol.rows import BlockedRow
from monitor.store.codec import memory_keyframe
from monitor.store.codec.history import kept
from monitor.store.microseconds import us, us_or_none
from monitor.store.model import Loop, SiteStats, TaskDetail
from monitor.store.slow_log import BlockingLine
from monitor.store.tables import TableEncoder
from probes.base import protocol

if TYPE_CHECKING:
    from monitor.store.store import Store

UNKNOWN_LINE = -1
"""Stands for the line of slow callbacks that were over before they were caught."""


def take(store: Store, history: bool = False) -> keyframes.Keyframe:
    """The keyframe of a store that has a session."""
    numbers = TableEncoder(store.tables)
    process, probe = store.process, store.probe
    return keyframes.Keyframe(
        hello=_hello(store),
        at=store._now_us,
        whole=store._whole_us,
        watched_since=us(store.watched_since),
        tasks=_task_columns(store, numbers),
        loops=[_loop_state(loop, numbers) for loop in store.loops.values()],
        site_states=list(starmap(_site_state, store.sites.items())),
        slow=[_line_state(line, numbers) for line in store.slow.lines.values()],
        details=[_detail(detail, numbers) for detail in store.details.values()],
        process=keyframes.ProcessState(
            process.rss,
            process.cpu,
            process.threads,
            process.fds,
            us_or_none(process.cpu_total),
            us(process.measured),
        ),
        probe=keyframes.ProbeState(
            share=probe.share,
            viewers=probe.viewers,
            tasks=probe.tasks,
            dropped=probe.dropped,
            dropped_at=us_or_none(probe.dropped_at),
            unnamed=probe.unnamed,
            off=list(probe.off),
            cpu_total=us_or_none(probe.cpu_total),
            measured=us(probe.measured),
        ),
        memory=store.memory.as_tick(),
        signs=store._signs_told,
        memory_looks=memory_keyframe.take(store.memory, numbers),
        left=store.left,
        missed_events=store.missed_events,
        ended_total=store.ended_total,
        last_seq=store._last_seq,
        history=kept(store, numbers) if history else keyframes.History(),
        strings=numbers.strings,  # last: the others add to them
        sites=numbers.sites,
    )


def _hello(store: Store) -> frames.Hello:
    session = store.session
    assert session is not None
    return frames.Hello(
        protocol=protocol.PROTOCOL,
        session=session.id,
        pid=session.pid,
        started=us(session.started),
        opened=us(session.opened),
        now=store._now_us,
        name=session.name,
        program=session.program,
        cwd=session.cwd,
        host=session.host,
        user=session.user,
        python=session.python,
        implementation=session.implementation,
        probe=session.probe,
        hooks=session.hooks,
        capabilities=sorted(session.capabilities),
        settings=session.settings,
        paths=session.paths,
        schema=dict(protocol.SCHEMA),
    )


def _task_columns(store: Store, numbers: TableEncoder) -> keyframes.TaskColumns:
    tasks = list(store.tasks.values())
    return keyframes.TaskColumns(
        id=_steps([task.id for task in tasks]),
        name=[task.name for task in tasks],
        coro=[numbers.string(task.coro) for task in tasks],
        loop=[task.loop for task in tasks],
        born=_steps_or_none([us_or_none(task.born) for task in tasks]),
        counted=_steps_or_none([us_or_none(task.counted) for task in tasks]),
        parent=[task.parent for task in tasks],
        site=[numbers.site(task.site) for task in tasks],
        flags=[protocol.BORN_BEFORE_ATTACH * task.born_before_attach | protocol.EAGER * task.eager for task in tasks],
        seen=_steps_or_none([us(task.seen) for task in tasks]),
        state=[task.state for task in tasks],
        steps=[task.steps for task in tasks],
        busy=[us(task.busy) for task in tasks],
        scheduled=[us_or_none(task.scheduled) for task in tasks],
        max_step=[us(task.max_step) for task in tasks],
        since=_steps_or_none([us(task.since) for task in tasks]),
        measured=_steps_or_none([us(task.measured) for task in tasks]),
        unmeasured=[us(task.busy) - us(task.measured_busy) for task in tasks],
        shares=[(number, task.share) for number, task in enumerate(tasks) if task.share],
        waits=[
            (number, task.wait_kind, task.wait_text)
            for number, task in enumerate(tasks)
            if task.wait_kind is not None or task.wait_text is not None
        ],
    )


def _steps(values: list[int]) -> list[int]:
    """Differences to the value before: the same digits are not written again and again."""
    return [value - before for value, before in zip(values, [0, *values], strict=False)]


def _steps_or_none(values: list[int | None]) -> list[int | None]:
    steps: list[int | None] = []
    before = 0
    for value in values:
        if value is None:
            steps.append(None)
        else:
            steps.append(value - before)
            before = value
    return steps


def _loop_state(loop: Loop, numbers: TableEncoder) -> keyframes.LoopState:
    block = loop.block
    return keyframes.LoopState(
        id=loop.id,
        kind=loop.kind,
        thread=loop.thread,
        name=loop.name,
        lag=us(loop.lag),
        utilization=loop.utilization,
        ready=loop.ready,
        timers=loop.timers,
        steps=loop.steps,
        steps_per_s=loop.steps_per_s,
        running=loop.running,
        blocked=us(loop.blocked),
        block=None
        if block is None
        else BlockedRow(loop.id, block.at_least, us(block.starved), numbers.stack(block.stack), block.blame),
        busy=us_or_none(loop.busy),
        measured=us(loop.measured),
        measured_busy=us(loop.measured_busy),
        measured_steps=loop.measured_steps,
    )


def _site_state(number: int, stats: SiteStats) -> keyframes.SiteState:
    return keyframes.SiteState(
        number,
        stats.born,
        stats.ended,
        stats.failed,
        stats.cancelled,
        us(stats.busy),
        stats.steps,
        stats.births_per_s,
        stats.deaths_per_s,
        us(stats.measured),
        stats.measured_born,
        stats.measured_ended,
    )


def _line_state(line: BlockingLine, numbers: TableEncoder) -> tuple[int, int, float, float, float]:
    number = UNKNOWN_LINE if line.line is None else numbers.site(line.line)
    return (number, line.count, line.total, line.worst, line.last)


def _detail(detail: TaskDetail, numbers: TableEncoder) -> frames.Detail:
    histogram = None
    if detail.step_counts is not None and detail.schedule_counts is not None:
        histogram = frames.Histogram(list(detail.step_counts), list(detail.schedule_counts))
    waiting_on: dict[str, Any] | None = None
    if detail.waiting_on is not None:
        waiting_on = {"kind": detail.waiting_on.kind, "repr": detail.waiting_on.repr, **detail.waiting_on.facts}
        wakes_at = waiting_on.get("wakes_at")
        if isinstance(wakes_at, float):
            waiting_on["wakes_at"] = us(wakes_at)
    return frames.Detail(
        id=detail.id,
        await_stack=numbers.stack(detail.await_stack),
        await_tasks=list(detail.await_tasks),
        waiting_on=waiting_on,
        awaited_by=list(detail.awaited_by),
        origin=None if detail.origin is None else numbers.stack(detail.origin),
        histogram=histogram,
    )
