"""`looptop export --to ndjson|csv`: a recording for other tools."""

from __future__ import annotations

import csv
import io
from itertools import chain
from typing import TYPE_CHECKING, Any

from monitor.plain import objects
from monitor.plain.objects import dump, rounded, seconds
from monitor.plain.stream import Stream
from monitor.protocol import frames
from monitor.recording.replay_frames import walk
from monitor.store.store import Store
from monitor.trace.collect import Trace
from monitor.trace.events import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.plain.objects import Object
    from monitor.recording.reader import Recording
    from monitor.store.model import Task

TABLES = ("ticks", "tasks", "slow", "ended", "groups", "steps")
GROUPS_EVERY = 10.0
"""Seconds between two rows of a group that changes."""
COLUMNS: dict[str, tuple[str, ...]] = {
    "ticks": ("time", "tasks", "steps_per_s", "lag", "utilization", "ready", "timers", "rss", "cpu", "threads", "fds"),
    "tasks": ("time", "task", "name", "coro", "state", "steps", "busy", "scheduled", "max_step", "waiting_on"),
    "slow": ("time", "duration", "loop", "task", "name", "callback", "file", "line", "function"),
    "ended": (
        "time",
        "task",
        "name",
        "coro",
        "outcome",
        "age",
        "busy",
        "steps",
        "exception",
        "message",
        "cancelled_by",
    ),
    "groups": (
        "time",
        "coro",
        "label",
        "live",
        "ended",
        "failed",
        "cancelled",
        "p50",
        "p90",
        "p99",
        "ran",
        "queued",
        "waited",
    ),
    "steps": ("time", "loop", "task", "name", "coro", "ran", "queued", "made_ready_by", "waker"),
}
"""The columns of each CSV table. With several loops, `ticks` has the worst lag and the highest utilization.
`groups` has totals since counting began; `steps` is empty unless the recording was made with --steps."""


TYPES = {
    "ticks": "tick",
    "tasks": "task",
    "slow": "slow_callback",
    "ended": "task_ended",
    "groups": "group",
    "steps": "step",
}
"""The `type` of the objects that become the rows of a table."""


def ndjson(recording: Recording, begin: int | None = None, end: int | None = None) -> Iterator[str]:
    """One line for the session, then one for each tick, new task, changed task and event."""
    for thing in things(recording, begin, end):
        yield dump(thing) + "\n"


def csv_lines(table: str, recording: Recording, begin: int | None = None, end: int | None = None) -> Iterator[str]:
    """One table as CSV, heading first."""
    row = TYPES[table]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS[table])
    for thing in chain([None], things(recording, begin, end)):
        if thing is not None and thing["type"] == row:
            writer.writerow([_cell(thing.get(column)) for column in COLUMNS[table]])
        if buffer.tell():
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()


def _cell(value: Any) -> Any:
    """A CSV cell; escaped where a spreadsheet would take a name for a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return "" if value is None else value


def things(recording: Recording, begin: int | None, end: int | None) -> Iterator[Object]:
    """The exported objects, each with a `type`."""
    stream = Stream(past=True)
    store = stream.store
    trace, groups_due = Trace(store), 0.0
    versions: dict[int, int] = {}
    state, rest = walk(recording, begin, end)
    for frame in state:
        store.apply(frame)
    yield {"type": "session", **(objects.session_object(store) or {}), "recorded_from": seconds(recording.start * 1e-6)}
    for task in store.tasks.values():
        yield _facts(task, store)
        yield _task(task, store)
    for frame in rest:
        came = stream.take(frame)
        trace.take(frame)
        match frame:
            case frames.Static():
                fresh = (store.tasks.get(row.id) for row in frame.tasks)
                yield from (_facts(task, store) for task in fresh if task is not None)
            case frames.Tick():
                changed = dict.fromkeys([*(row.id for row in frame.tasks), *(row.id for row in frame.waits)])
                found = (store.tasks.get(number) for number in changed)
                yield from (_task(task, store) for task in found if task is not None)
                if frame.loops:
                    yield _tick(store)
                if store.now >= groups_due:
                    groups_due = store.now + GROUPS_EVERY
                    yield from _groups(store, versions)
            case frames.Steps():
                yield from _steps(trace)
            case frames.Event():
                yield from map(_flat, came)
    yield from _groups(store, versions)


def _groups(store: Store, versions: dict[int, int]) -> Iterator[Object]:
    for group in store.label_groups.values():
        if versions.get(group.number) == group.version:
            continue
        versions[group.number] = group.version
        _, ran, queued, waited = group.sums
        yield {
            "type": "group",
            "time": seconds(store.now),
            "coro": group.coro,
            "label": group.label,
            "live": group.live,
            "ended": group.ended,
            "failed": group.failed,
            "cancelled": group.cancelled,
            "p50": seconds(group.age.at(0.5)),
            "p90": seconds(group.age.at(0.9)),
            "p99": seconds(group.age.at(0.99)),
            "ran": seconds(ran),
            "queued": seconds(queued),
            "waited": seconds(waited),
        }


def _steps(trace: Trace) -> Iterator[Object]:
    """Yield the steps that a trace has read, and drop them."""
    timeline = trace.timeline
    for runs in timeline.runs.values():
        for run in runs:
            if run.kind > Kind.STEP_OUTSIDE:
                continue
            life = timeline.life(run.task)
            yield {
                "type": "step",
                "time": run.start / 1e9,
                "loop": run.loop,
                "task": run.task,
                "name": life.name or None,
                "coro": life.coro or None,
                "ran": (run.end - run.start) / 1e9,
                "queued": None if run.ready is None else (run.start - run.ready) / 1e9,
                "made_ready_by": run.kind.name.removeprefix("STEP_").lower(),
                "waker": run.waker or None,
            }
    timeline.drop_before(timeline.end + 1)


def _facts(task: Task, store: Store) -> Object:
    return {
        "type": "task_facts",
        "time": seconds(store.now),
        "task": task.id,
        "name": task.name,
        "coro": task.coro,
        "loop": task.loop,
        "born": seconds(task.born),
        "parent": task.parent or None,
        "creation_site": objects.site_object(task.site),
    }


def _task(task: Task, store: Store) -> Object:
    wait = f"{task.wait_kind} {task.wait_text or ''}".strip() if task.wait_kind is not None else None
    return {
        "type": "task",
        "time": seconds(store.now),
        "task": task.id,
        "name": task.name,
        "coro": task.coro,
        "state": task.state_name,
        "steps": task.steps,
        "busy": seconds(task.busy),
        "scheduled": seconds(task.scheduled),
        "max_step": seconds(task.max_step),
        "waiting_on": wait,
    }


def _tick(store: Store) -> Object:
    loops = list(store.loops.values())
    shares = [loop.utilizations.values[-1] for loop in loops if loop.utilizations.values]
    process = store.process
    return {
        "type": "tick",
        "time": seconds(store.now),
        "tasks": len(store.tasks),
        "steps_per_s": rounded(store.steps_per_s()),
        "lag": seconds(max((loop.lag for loop in loops), default=None)),
        "utilization": rounded(max(shares, default=None)),
        "ready": sum(ready) if (ready := [loop.ready for loop in loops if loop.ready is not None]) else None,
        "timers": sum(timers) if (timers := [loop.timers for loop in loops if loop.timers is not None]) else None,
        "rss": process.rss,
        "cpu": rounded(process.cpu),
        "threads": process.threads,
        "fds": process.fds,
        "loops": [objects.loop_object(loop) for loop in loops],
    }


def _flat(thing: Object) -> Object:
    """An event with the fields that its CSV columns need in addition to `looptop watch --json`."""
    if thing["type"] == "slow_callback":
        where = thing["line"] or {}
        return {**thing, "file": where.get("file"), "line": where.get("line"), "function": where.get("function")}
    if thing["type"] == "task_ended":
        failure = thing["exception"] or {}
        by = (thing["cancelled_by"] or {}).get("text")
        return {**thing, "exception": failure.get("type"), "message": failure.get("message"), "cancelled_by": by}
    return thing
