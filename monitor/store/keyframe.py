"""Converts a store to one frame and back, so that a recording can be entered anywhere.

The conversion is exact: times and durations are integer microseconds, as on the wire, and become the same floats again.
Events and series are the `history`, which may be omitted. Fields that a class of the model shares with its struct are
converted by `codec`; tests/monitor/recording compares whole stores.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, get_args

from monitor.protocol import frames, keyframes
from monitor.protocol.rows import SECOND, us
from monitor.store import convert, memory_keyframe
from monitor.store.codec import Conversion, conversion, hints
from monitor.store.model import Loop, Task
from monitor.store.slow_log import BlockingLine
from monitor.store.tables import TableEncoder, Tables
from probes.base import protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from monitor.store.series import Series
    from monitor.store.state import State

UNKNOWN_LINE = -1
"""Stands for the unknown line of slow callbacks that ended before they were sampled."""

_COLUMNS = [name for name in keyframes.TaskColumns.__struct_fields__ if name not in ("shares", "waits")]
_DEFAULTS = dict(zip(reversed(Task.__struct_fields__), reversed(Task.__struct_defaults__), strict=False))


def encode(state: State, history: bool = False) -> keyframes.Keyframe:
    """Return the keyframe of a state that has a session."""
    assert state.session is not None
    numbers = TableEncoder(state.tables)
    return keyframes.Keyframe(
        hello=convert.SESSION.encode(
            state.session, numbers, protocol=protocol.PROTOCOL, now=state.now_us, schema=dict(protocol.SCHEMA)
        ),
        at=state.now_us,
        whole=state.whole_us,
        watched_since=us(state.watched_since),
        tasks=_task_columns(list(state.tasks.values()), numbers),
        loops=[_loop_state(loop, numbers) for loop in state.loops.values()],
        site_states=[convert.SITE.encode(stats, numbers, site=number) for number, stats in state.sites.items()],
        slow=[_line_state(line, numbers) for line in state.slow.lines.values()],
        details=[convert.detail_frame(detail, numbers) for detail in state.details.values()],
        process=convert.PROCESS.encode(state.process, numbers),
        probe=convert.PROBE.encode(state.probe, numbers),
        memory=state.memory.as_tick(),
        sync_scan=state.scan_frame,
        threads=list(state.thread_looks[-2:]),
        memory_looks=memory_keyframe.encode(state.memory, numbers),
        groups=state.label_groups.encode(numbers),
        left=state.left,
        missed_events=state.missed_events,
        ended_total=state.ended_total,
        last_seq=state.last_event,
        history=_history(state, numbers) if history else keyframes.History(),
        strings=numbers.strings,  # last: the others add to them
        sites=numbers.sites,
    )


def restore(state: State, keyframe: keyframes.Keyframe) -> None:
    """Restore a state from a keyframe. Raises ValueError if the columns do not have the same length."""
    tables = Tables()
    tables.add(frames.Strings(0, keyframe.strings), frames.Sites(0, keyframe.sites))
    version = (state.revision + 1) << 20  # above any version so far, so that every screen sees a change
    tasks = _tasks(keyframe.tasks, tables, version)  # raises before anything is changed
    state.clear()
    state.begin(keyframe.hello)
    state.tables = tables
    for event in keyframe.history.events:
        state.add_event(event)
    state.now_us, state.whole_us = keyframe.at, keyframe.whole
    state.now = keyframe.at * SECOND
    state.watched_since = keyframe.watched_since * SECOND
    for detail in keyframe.details:  # before the tasks, whose waits may be newer
        state.add_detail(detail)
    for task in tasks:
        state.tasks.add(task)
    for loop_state in keyframe.loops:
        loop = state.loops[loop_state.id] = convert.LOOP.decode(loop_state, tables)
        _fill(loop.lags, keyframe.history.lags.get(loop.id, []))
        _fill(loop.utilizations, keyframe.history.utilizations.get(loop.id, []))
    for counts in keyframe.site_states:
        if 0 <= counts.site < len(tables.sites):
            state.sites[counts.site] = convert.SITE.decode(counts, tables, site=tables.sites[counts.site])
    _restore_lines(state, keyframe.slow)
    state.process = convert.PROCESS.decode(keyframe.process, tables)
    state.probe = convert.PROBE.decode(keyframe.probe, tables)
    if keyframe.sync_scan is not None:
        state.add_scan(*keyframe.sync_scan)
    for look in keyframe.threads:
        state.add_threads(look)
    if keyframe.memory is not None:
        state.memory.apply_tick(keyframe.memory)
    if keyframe.memory_looks is not None:
        memory_keyframe.restore(state.memory, keyframe.memory_looks, tables)
    if keyframe.groups is not None:
        state.label_groups.restore(*keyframe.groups, tables, state.now)
    state.left, state.missed_events = keyframe.left, keyframe.missed_events
    state.ended_total, state.last_event = keyframe.ended_total, keyframe.last_seq
    for rows in keyframe.history.past:
        state.past.apply(rows)
    _fill(state.steps, keyframe.history.steps)
    _fill(state.task_counts, keyframe.history.task_counts)


# Tasks: a list for each field


def _flags(task: Task) -> int:
    return protocol.BORN_BEFORE_ATTACH * task.born_before_attach | protocol.EAGER * task.eager


def _unmeasured(task: Task) -> int:
    return us(task.busy) - us(task.measured_busy)


def _column_of(name: str) -> tuple[Callable[[Task], Any], Any]:
    """Return how a column's value is read from a task, and the conversion."""
    special: dict[str, Callable[[Task], Any]] = {"flags": _flags, "unmeasured": _unmeasured}
    if name in special:
        return special[name], conversion(int, int)
    if name == "label":  # 0: none; no string has that number
        return attrgetter(name), Conversion(
            lambda label, numbers: 0 if label is None else numbers.string(label) + 1,
            lambda number, tables: tables.string(number - 1) if number else None,
        )
    [kind] = get_args(hints(keyframes.TaskColumns)[name])
    return attrgetter(name), conversion(hints(Task)[name], kind)


def _task_columns(tasks: list[Task], numbers: TableEncoder) -> keyframes.TaskColumns:
    columns: dict[str, list[Any]] = {}
    for name in _COLUMNS:
        read, (encoded, _) = _column_of(name)
        values = list(map(read, tasks))
        if encoded is not None:
            values = [encoded(value, numbers) for value in values]
        columns[name] = _differences(values) if name in keyframes.DIFFERENCES else values
    return keyframes.TaskColumns(
        **columns,
        shares=[(number, task.share) for number, task in enumerate(tasks) if task.share],
        waits=[
            convert.WAIT.encode(task, numbers, id=number)
            for number, task in enumerate(tasks)
            if task.wait_kind is not None or task.wait_text is not None
        ],
    )


def _tasks(columns: keyframes.TaskColumns, tables: Tables, version: int) -> list[Task]:
    values: dict[str, list[Any]] = {}
    for name in _COLUMNS:
        _, (_, decoded) = _column_of(name)
        found = getattr(columns, name)
        column = _sums(found) if name in keyframes.DIFFERENCES else found
        values[name] = column if decoded is None else [decoded(value, tables) for value in column]
    count = len(values["id"])
    lengths = [len(column) for name, column in values.items() if column or name not in keyframes.OPTIONAL]
    if None in values["id"] or any(length != count for length in lengths):
        raise ValueError("the columns of the tasks do not fit together")
    flags, unmeasured = values.pop("flags"), values.pop("unmeasured")
    values["born_before_attach"] = [bool(each & protocol.BORN_BEFORE_ATTACH) for each in flags]
    values["eager"] = [bool(each & protocol.EAGER) for each in flags]
    measured = zip(values["busy"], unmeasured, strict=True)
    values["measured_busy"] = [(us(busy) - rest) * SECOND for busy, rest in measured]
    values["version"] = [version] * count
    entries = [*(number for number, _ in columns.shares), *(row.id for row in columns.waits)]
    if entries and not 0 <= min(entries) <= max(entries) < count:
        raise ValueError("a column has an entry for a task that is not there")
    # By position, which is twice as fast as by keyword.
    filled = [values.get(name) or [_DEFAULTS.get(name)] * count for name in Task.__struct_fields__]
    tasks = list(map(Task, *filled))
    for number, share in columns.shares:
        tasks[number].share = share
    for row in columns.waits:
        tasks[row.id].take_wait(row, tables.site(row.at))
    return tasks


def _differences(values: list[int | None]) -> list[int | None]:
    """Return the differences between consecutive values; None stays None."""
    result: list[int | None] = []
    before = 0
    for value in values:
        result.append(None if value is None else value - before)
        before = before if value is None else value
    return result


def _sums(differences: Iterable[int | None]) -> list[int | None]:
    values: list[int | None] = []
    value = 0
    for difference in differences:
        value += difference or 0
        values.append(None if difference is None else value)
    return values


# Loops, lines, series


def _loop_state(loop: Loop, numbers: TableEncoder) -> keyframes.LoopState:
    block = None if loop.block is None else convert.BLOCK.encode(loop.block, numbers, loop=loop.id)
    return convert.LOOP.encode(loop, numbers, block=block)


def _line_state(line: BlockingLine, numbers: TableEncoder) -> keyframes.BlockingLineState:
    number = UNKNOWN_LINE if line.line is None else numbers.site(line.line)
    return keyframes.BlockingLineState(number, line.count, line.total, line.worst, line.last)


def _restore_lines(state: State, lines: list[keyframes.BlockingLineState]) -> None:
    """Restore the figures of all slow callbacks so far; the history holds only the newest callbacks."""
    kept, tables = state.slow.lines, state.tables
    state.slow.lines = {}
    for line in lines:
        site = tables.sites[line.line] if 0 <= line.line < len(tables.sites) else None
        callbacks = kept[site].callbacks if site in kept else BlockingLine(site).callbacks
        gil = sum(slow.gil for slow in callbacks)
        state.slow.lines[site] = BlockingLine(site, line.count, line.total, line.worst, line.last, callbacks, gil)
        state.slow.revision += 1


def _fill(series: Series, values: list[float]) -> None:
    for value in values:
        series.add(value)


def _history(state: State, numbers: TableEncoder) -> keyframes.History:
    """Return the events of the state, by kind and in order, and the values of its series."""
    return keyframes.History(
        events=list(_events(state, numbers)),
        steps=list(state.steps.values),
        task_counts=list(state.task_counts.values),
        lags={loop.id: list(loop.lags.values) for loop in state.loops.values()},
        utilizations={loop.id: list(loop.utilizations.values) for loop in state.loops.values()},
        past=state.past.as_rows(),
    )


def _events(state: State, numbers: TableEncoder) -> Iterator[frames.Event]:
    for task in state.ended:
        yield convert.ENDED_TASK.encode(task, numbers, seq=0, kind="task_ended")
    slow = {id(entry): entry for line in state.slow.lines.values() for entry in line.callbacks}
    slow.update({id(entry): entry for entry in state.slow.entries})
    for callback in sorted(slow.values(), key=lambda entry: entry.seq):
        yield convert.SLOW_CALLBACK.encode(callback, numbers, kind="slow_callback")
    for unhandled in state.unhandled:
        yield convert.UNHANDLED.encode(unhandled, numbers, seq=0, kind="unhandled")
    for dropped in state.never_awaited:
        text = convert.MADE_HERE if dropped.made_here else "dropped here"
        yield convert.NEVER_AWAITED.encode(dropped, numbers, seq=0, kind="never_awaited", text=text)
    for notice in state.notices:
        yield convert.NOTICE.encode(notice, numbers, seq=0)
