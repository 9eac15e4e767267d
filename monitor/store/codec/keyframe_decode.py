"""A store from one frame: what `keyframe` took of another one, exactly."""
# ruff: noqa: SLF001 - this is the store's own business, in a file of its own

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.protocol import frames, keyframes
from monitor.store.codec import memory_keyframe
from monitor.store.from_frames import block_of
from monitor.store.microseconds import SECOND, seconds_or_none
from monitor.store.model import Loop, Probe, Process, Site, SiteStats, Task
from monitor.store.slow_log import BlockingLine
from monitor.store.tables import Tables
from probes.base import protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.store.series import Series
    from monitor.store.store import Store


def restore(store: Store, keyframe: keyframes.Keyframe) -> None:
    """Makes a store what another one was. Raises ValueError for columns that do not fit together."""
    tables = Tables()
    tables.add(frames.Strings(0, keyframe.strings), frames.Sites(0, keyframe.sites))
    tasks = list(_tasks(keyframe.tasks, tables))  # what is wrong with it shows before anything is touched
    _add_rare(keyframe.tasks, tasks)
    version = (store.revision + 1) << 20  # no version of before comes again
    store._clear()
    store._apply_hello(keyframe.hello)
    store.tables = tables
    for event in keyframe.history.events:
        store._last_seq = None
        store._apply_event(event)
    store._now_us, store._whole_us = keyframe.at, keyframe.whole
    store.now = keyframe.at * SECOND
    store.watched_since = keyframe.watched_since * SECOND
    for detail in keyframe.details:  # before the tasks: what it said of a wait may be older than what they know
        store._apply_detail(detail)
    for task in tasks:
        task.version = version
        store.tasks.add(task)
    for state in keyframe.loops:
        store.loops[state.id] = _loop(state, keyframe.history, store.tables)
    for counts in keyframe.site_states:
        if 0 <= counts.site < len(tables.sites):
            store.sites[counts.site] = _site_stats(counts, tables.sites[counts.site])
    _restore_lines(store, keyframe.slow)
    store.process, store.probe = _process(keyframe.process), _probe(keyframe.probe)
    if keyframe.signs is not None:
        store._apply_signs(*keyframe.signs)
    if keyframe.memory is not None:
        store.memory.apply_tick(keyframe.memory)
    if keyframe.memory_looks is not None:
        memory_keyframe.restore(store.memory, keyframe.memory_looks, tables)
    store.left, store.missed_events = keyframe.left, keyframe.missed_events
    store.ended_total, store._last_seq = keyframe.ended_total, keyframe.last_seq
    _fill(store.steps, keyframe.history.steps)
    _fill(store.task_counts, keyframe.history.task_counts)


def _tasks(columns: keyframes.TaskColumns, tables: Tables) -> Iterable[Task]:
    string, site_of = tables.string, tables.site
    ids, born, counted = _sums(columns.id), _sums(columns.born), _sums(columns.counted)
    seen, since, measured = _sums(columns.seen), _sums(columns.since), _sums(columns.measured)
    rows = zip(
        ids,
        columns.name,
        columns.coro,
        columns.loop,
        born,
        counted,
        columns.parent,
        columns.site,
        columns.flags,
        seen,
        columns.state,
        columns.steps,
        columns.busy,
        columns.scheduled,
        columns.max_step,
        since,
        measured,
        columns.unmeasured,
        strict=True,
    )
    for number, name, coro, loop, b, c, parent, site, flags, s, state, steps, busy, sched, longest, q, m, rest in rows:
        if number is None:
            raise ValueError("a task without a number")
        yield Task(
            number,
            name,
            string(coro),
            loop,
            None if b is None else b * SECOND,
            None if c is None else c * SECOND,
            parent,
            site_of(site),
            bool(flags & protocol.BORN_BEFORE_ATTACH),
            bool(flags & protocol.EAGER),
            (s or 0) * SECOND,
            state,
            steps,
            busy * SECOND,
            None if sched is None else sched * SECOND,
            longest * SECOND,
            (q or 0) * SECOND,
            measured=(m or 0) * SECOND,
            measured_busy=(busy - rest) * SECOND,
        )


def _sums(steps: Iterable[int | None]) -> list[int | None]:
    values: list[int | None] = []
    value = 0
    for step in steps:
        if step is None:
            values.append(None)
        else:
            value += step
            values.append(value)
    return values


def _add_rare(columns: keyframes.TaskColumns, tasks: list[Task]) -> None:
    """What few tasks have."""
    entries = [*(number for number, _ in columns.shares), *(number for number, _, _ in columns.waits)]
    if entries and not 0 <= min(entries) <= max(entries) < len(tasks):
        raise ValueError("an entry of a task that is not there")
    for number, share in columns.shares:
        tasks[number].share = share
    for number, kind, text in columns.waits:
        tasks[number].wait_kind, tasks[number].wait_text = kind, text


def _loop(state: keyframes.LoopState, history: keyframes.History, tables: Tables) -> Loop:
    loop = Loop(
        id=state.id,
        kind=state.kind,
        thread=state.thread,
        name=state.name,
        lag=state.lag * SECOND,
        utilization=state.utilization,
        ready=state.ready,
        timers=state.timers,
        steps=state.steps,
        steps_per_s=state.steps_per_s,
        running=state.running,
        blocked=state.blocked * SECOND,
        block=None if state.block is None else block_of(state.block, tables),
        busy=seconds_or_none(state.busy),
        measured=state.measured * SECOND,
        measured_busy=state.measured_busy * SECOND,
        measured_steps=state.measured_steps,
    )
    _fill(loop.lags, history.lags.get(state.id, []))
    _fill(loop.utilizations, history.utilizations.get(state.id, []))
    return loop


def _site_stats(counts: keyframes.SiteState, site: Site) -> SiteStats:
    return SiteStats(
        site=site,
        born=counts.born,
        ended=counts.ended,
        failed=counts.failed,
        cancelled=counts.cancelled,
        busy=counts.busy * SECOND,
        steps=counts.steps,
        births_per_s=counts.births_per_s,
        deaths_per_s=counts.deaths_per_s,
        measured=counts.measured * SECOND,
        measured_born=counts.measured_born,
        measured_ended=counts.measured_ended,
    )


def _restore_lines(store: Store, lines: list[tuple[int, int, float, float, float]]) -> None:
    """The counts of all slow callbacks there were; of these themselves the history has the last ones."""
    kept, tables = store.slow.lines, store.tables
    store.slow.lines = {}
    for number, count, total, worst, last in lines:
        site = tables.sites[number] if 0 <= number < len(tables.sites) else None
        callbacks = kept[site].callbacks if site in kept else BlockingLine(site).callbacks
        gil = sum(slow.gil for slow in callbacks)
        store.slow.lines[site] = BlockingLine(site, count, total, worst, last, callbacks, gil)
        store.slow.revision += 1


def _process(state: keyframes.ProcessState) -> Process:
    return Process(
        state.rss,
        state.cpu,
        state.threads,
        state.fds,
        seconds_or_none(state.cpu_total),
        state.measured * SECOND,
    )


def _probe(state: keyframes.ProbeState) -> Probe:
    return Probe(
        share=state.share,
        viewers=state.viewers,
        tasks=state.tasks,
        dropped=state.dropped,
        dropped_at=seconds_or_none(state.dropped_at),
        unnamed=state.unnamed,
        off=tuple(state.off),
        cpu_total=seconds_or_none(state.cpu_total),
        measured=state.measured * SECOND,
    )


def _fill(series: Series, values: list[float]) -> None:
    for value in values:
        series.add(value)
