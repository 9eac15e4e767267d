"""Rebuilds the history before a block from the figures and events of earlier blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from monitor.protocol.keyframes import History
from monitor.protocol.rows import SECOND
from monitor.store import past, series, slow_log
from monitor.store.ends import MOST_ENDED, MOST_FAILED
from monitor.store.model import blamed
from monitor.store.state import MOST_NOTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.protocol.frames import Event, HistoryRows
    from monitor.recording.block_codec import LightTick
    from monitor.recording.reader import Recording


def before(recording: Recording, number: int, loops: list[int]) -> History:
    """Return the history before the keyframe of a block, for the given loops."""
    first = recording.first_history()
    if number == 0:
        return first
    steps: list[float] = []
    counts: list[float] = []
    lags: dict[int, list[float]] = {loop: [] for loop in loops}
    utilizations: dict[int, list[float]] = {loop: [] for loop in loops}
    most = series.LENGTH
    for tick in _ticks_back(recording, number):
        if len(steps) < most:
            steps.append(tick.steps_per_s)
            counts.append(tick.tasks)
        for loop, lag, utilization in tick.loops:
            if loop in lags and len(lags[loop]) < most:
                lags[loop].append(lag)
            if utilization is not None and loop in utilizations and len(utilizations[loop]) < most:
                utilizations[loop].append(utilization)
        if len(steps) == most and all(len(values) == most for values in (*lags.values(), *utilizations.values())):
            break
    came = [rows for earlier in range(number) for _, rows in recording.light(earlier).past]
    came += [rows for place, rows in recording.light(number).past if place < 0]
    known = {rows.loop for rows in first.past}
    put_before: dict[int, HistoryRows] = {}  # what the store put before the sparklines of a loop
    for rows in came:
        if rows.loop not in known and rows.step * SECOND == past.FINE:
            put_before.setdefault(rows.loop, rows)
    return History(
        events=_last_events(_events_back(recording, number, first)),
        steps=[*first.steps, *reversed(steps)][-most:],
        task_counts=[*first.task_counts, *reversed(counts)][-most:],
        lags={
            loop: [*past.lags(put_before.get(loop)), *first.lags.get(loop, []), *reversed(values)][-most:]
            for loop, values in lags.items()
        },
        utilizations={
            loop: [*past.utilizations(put_before.get(loop)), *first.utilizations.get(loop, []), *reversed(values)][
                -most:
            ]
            for loop, values in utilizations.items()
        },
        past=_joined([*first.past, *came]),
    )


def _joined(came: list[HistoryRows]) -> list[HistoryRows]:
    """Rows of history, those that go on where others end in one; as many as a store keeps."""
    found: dict[tuple[int, int], HistoryRows] = {}
    for rows in came:
        if rows.step * SECOND not in past.ROWS:
            continue
        key = rows.loop, rows.step
        known = found.get(key)
        if known is not None and known.columns.keys() == rows.columns.keys():
            fresh = rows.since(known.end)
            if fresh is None:
                continue
            if fresh.from_ - known.end <= rows.step // 2:
                for name, values in known.columns.items():
                    values += fresh.columns[name]
                continue
        columns = {name: [*values] for name, values in rows.columns.items()}
        found[key] = msgspec.structs.replace(rows, columns=columns)
    return [rows.since(rows.end - past.ROWS[rows.step * SECOND] * rows.step) or rows for rows in found.values()]


def _ticks_back(recording: Recording, number: int) -> Iterator[LightTick]:
    yield from (tick for tick in reversed(recording.light(number).ticks) if tick.place < 0)
    for earlier in range(number - 1, -1, -1):
        yield from reversed(recording.light(earlier).ticks)


def _events_back(recording: Recording, number: int, first: History) -> Iterator[Event]:
    """Yield the events before the keyframe of a block, last one first; ended tasks only as long as needed."""
    yield from (event for place, event in reversed(recording.light(number).notes) if place < 0)
    for earlier in range(number - 1, -1, -1):
        summary = recording.summary(earlier)
        if summary.slow or summary.unhandled or summary.notices:
            yield from (event for _, event in reversed(recording.light(earlier).notes))
    yield from (event for event in reversed(first.events) if event.kind != "task_ended")
    wanted = MOST_ENDED
    for earlier in range(number, -1, -1):
        if wanted <= 0:
            return
        if recording.summary(earlier).ended:
            ends = [event for place, event in recording.ends(earlier) if earlier < number or place < 0]
            wanted -= len(ends)
            yield from reversed(ends)
    yield from (event for event in reversed(first.events) if event.kind == "task_ended")


def _last_events(back: Iterator[Event]) -> list[Event]:
    """Return as many events as a store keeps, in order of time. Reads them from the last one back."""
    kept: list[Event] = []
    most = {
        "task_ended": MOST_ENDED,
        "failed": MOST_FAILED,
        "unhandled": MOST_NOTES,
        "notice": MOST_NOTES,
        "slow_callback": slow_log.MOST,
    }
    counts = dict.fromkeys(most, 0)
    of_line: dict[int | None, int] = {}
    for event in back:
        kind = "notice" if event.kind == "memory" else event.kind
        if kind == "task_ended" and event.outcome == "failed":
            kind = "failed"
        if kind not in counts:
            continue
        wanted = counts[kind] < most[kind]
        if kind == "slow_callback":
            line = blamed(event.stack, event.blame)
            wanted = wanted or of_line.get(line, 0) < slow_log.MOST_OF_A_LINE
            of_line[line] = of_line.get(line, 0) + 1
        if wanted:
            counts[kind] += 1
            kept.append(event)
    kept.reverse()
    return kept
