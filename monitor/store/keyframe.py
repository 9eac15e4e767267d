"""A store as one frame: how a recording can be entered anywhere. `restored` is the way back.

What is carried is all of the store, exactly: times and durations are counted in microseconds, as on the wire, and
become the same floats again. What depends on the past (events, series) is in `history`, which may be left out.
A new attribute of the store belongs here too; tests/monitor/recording compares them all.
"""
# ruff: noqa: SLF001 - this is the store's own business, in a file of its own

from __future__ import annotations

from itertools import starmap
from typing import TYPE_CHECKING, Any

from monitor import frames, keyframes
from monitor.store import memory_keyframe
from monitor.store.microseconds import us, us_or_none
from monitor.store.model import CancelledBy, Failure, Loop, Site, SiteStats, TaskDetail
from monitor.store.slow_log import BlockingLine
from probes import wire

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.store.store import Store
    from monitor.store.tables import Tables

UNKNOWN_LINE = -1
"""Stands for the line of slow callbacks that were over before they were caught."""


class _Numbers:
    """The numbers of strings and sites; what is no longer in the tables of the store is added at the end."""

    def __init__(self, tables: Tables) -> None:
        self.strings = list(tables.strings)
        self._strings = {text: number for number, text in reversed(list(enumerate(self.strings)))}
        self._sites = {site: number for number, site in reversed(list(enumerate(tables.sites)))}
        self.sites = [self._row(site) for site in tables.sites]

    def string(self, text: str) -> int:
        number = self._strings.get(text)
        if number is None:
            number = self._strings[text] = len(self.strings)
            self.strings.append(text)
        return number

    def site(self, site: Site | None) -> int:
        """0 for a site that is not known."""
        if site is None:
            return 0
        number = self._sites.get(site)
        if number is None:
            if not self.sites:
                self.sites.append((self.string(""), 0, self.string("")))
            number = self._sites[site] = len(self.sites)
            self.sites.append(self._row(site))
        return number

    def stack(self, sites: Iterable[Site]) -> list[int]:
        return [self.site(site) for site in sites]

    def _row(self, site: Site) -> tuple[int, int, int]:
        return (self.string(site.file), site.line, self.string(site.function))


def take(store: Store, history: bool = False) -> keyframes.Keyframe:
    """The keyframe of a store that has a session."""
    numbers = _Numbers(store.tables)
    process, probe = store.process, store.probe
    return keyframes.Keyframe(
        hello=_hello(store),
        at=store._now_us,
        whole=store._whole_us,
        watched_since=us(store.watched_since),
        tasks=_task_columns(store, numbers),
        loops=[_loop_state(loop) for loop in store.loops.values()],
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
        memory_looks=memory_keyframe.take(store.memory, numbers.stack),
        left=store.left,
        missed_events=store.missed_events,
        ended_total=store.ended_total,
        last_seq=store._last_seq,
        history=_history(store, numbers) if history else keyframes.History(),
        strings=numbers.strings,  # last: the others add to them
        sites=numbers.sites,
    )


def _hello(store: Store) -> frames.Hello:
    session = store.session
    assert session is not None
    return frames.Hello(
        protocol=wire.PROTOCOL,
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
        schema=dict(wire.SCHEMA),
    )


def _task_columns(store: Store, numbers: _Numbers) -> keyframes.TaskColumns:
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
        flags=[wire.BORN_BEFORE_ATTACH * task.born_before_attach | wire.EAGER * task.eager for task in tasks],
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


def _loop_state(loop: Loop) -> keyframes.LoopState:
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


def _line_state(line: BlockingLine, numbers: _Numbers) -> tuple[int, int, float, float, float]:
    number = UNKNOWN_LINE if line.line is None else numbers.site(line.line)
    return (number, line.count, line.total, line.worst, line.last)


def _detail(detail: TaskDetail, numbers: _Numbers) -> frames.Detail:
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


def _canceller(known: CancelledBy | None, numbers: _Numbers) -> frames.CancelledBy | None:
    if known is None:
        return None
    return frames.CancelledBy(
        how=known.how,
        task=known.task or 0,
        name=known.name or "",
        site=numbers.site(known.site),
        asked=known.asked,
        through=known.through or 0,
        through_name=known.through_name or "",
    )


def _history(store: Store, numbers: _Numbers) -> keyframes.History:
    def facts(failure: Failure | None) -> frames.ExceptionFacts | None:
        if failure is None:
            return None
        kept = None
        if failure.locals is not None:
            kept = [None if names is None else list(names) for names in failure.locals]
        return frames.ExceptionFacts(failure.type, failure.message, numbers.stack(failure.traceback), kept)

    events = [
        frames.Event(
            seq=0,
            at=us(task.ended),
            kind="task_ended",
            loop=task.loop,
            task=task.id,
            name=task.name,
            coro=task.coro,
            outcome=task.outcome,
            exception=facts(task.failure),
            cancelled_by=_canceller(task.cancelled_by, numbers),
            age=us_or_none(task.age),
            busy=us_or_none(task.busy),
            scheduled=us_or_none(task.scheduled),
            steps=task.steps,
            max_step=us_or_none(task.max_step),
            site=numbers.site(task.site),
            parent=task.parent,
        )
        for task in store.ended
    ]
    slow = {id(entry): entry for line in store.slow.lines.values() for entry in line.callbacks}
    slow.update({id(entry): entry for entry in store.slow.entries})
    events += [
        frames.Event(
            seq=entry.seq,
            at=us(entry.at),
            kind="slow_callback",
            loop=entry.loop,
            duration=us(entry.duration),
            starved=us(entry.starved),
            task=entry.task,
            name=entry.name,
            callback=entry.callback,
            stack=numbers.stack(entry.stack),
            blame=entry.blame,
            samples=entry.samples,
        )
        for entry in sorted(slow.values(), key=lambda entry: entry.seq)
    ]
    events += [
        frames.Event(
            seq=0,
            at=us(entry.at),
            kind="unhandled",
            site=numbers.site(entry.site),
            message=entry.message,
            task=entry.task,
            name=entry.name,
            exception=facts(entry.failure),
        )
        for entry in store.unhandled
    ]
    events += [
        frames.Event(
            seq=0,
            at=us(entry.at),
            kind="never_awaited",
            coro=entry.coro,
            site=numbers.site(entry.defined),
            stack=numbers.stack(entry.stack),
            blame=entry.blame,
            text="made here" if entry.made_here else "dropped here",
        )
        for entry in store.never_awaited
    ]
    events += [
        frames.Event(seq=0, at=us(entry.at), kind=entry.kind, text=entry.text, duration=us(entry.duration))
        for entry in store.notices
    ]
    return keyframes.History(
        events=events,
        steps=list(store.steps.values),
        task_counts=list(store.task_counts.values),
        lags={loop.id: list(loop.lags.values) for loop in store.loops.values()},
        utilizations={loop.id: list(loop.utilizations.values) for loop in store.loops.values()},
    )
