"""The objects that `--json` commands print, from the store: durations in seconds as float, unknown values as null."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from monitor.protocol.rows import SECOND
from monitor.store.blocked import callback
from monitor.store.cancel_text import words
from monitor.store.model import (
    Block,
    CancelledBy,
    EndedTask,
    Failure,
    GilHolder,
    Loop,
    Site,
    SlowCallback,
    Task,
    TaskDetail,
    Unhandled,
)
from monitor.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

Object = dict[str, Any]
_STEERING = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_DIGITS = 6  # the protocol counts microseconds; more digits are conversion noise


def dump(value: Object | list[Object]) -> str:
    """One line of JSON. Terminal control characters are escaped, and characters that the output cannot encode."""
    ascii_only = "utf" not in (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    try:
        text = _dumped(value, ascii_only) if ascii_only else _encoded(value)
    except UnicodeEncodeError:  # a lone surrogate, which only the standard library's encoder accepts
        text = _dumped(value, ascii_only)
    return (
        text if text.isascii() and text.isprintable() else _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    )


def _encoded(value: Object | list[Object]) -> str:
    """Encode with msgspec, four times as fast as `json`: 100,000 tasks make 50 MB."""
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()


def _dumped(value: Object | list[Object], ascii_only: bool) -> str:
    return json.dumps(value, ensure_ascii=ascii_only, separators=(", ", ": "))


def snapshot(store: Store, tasks: Iterable[Task], ended: Iterable[EndedTask] = ()) -> Object:
    """The object that `looptop tasks --json` prints."""
    listed = [task_object(task, store) for task in tasks]
    listed += [ended_object(task) for task in ended]
    return {
        "session": session_object(store),
        "loops": [loop_object(loop) for loop in store.loops.values()],
        "process": process_object(store),
        "tasks": listed,
    }


def session_object(store: Store) -> Object | None:
    """The session: which program is watched, and by which probe."""
    session = store.session
    if session is None:
        return None
    return {
        "id": session.id,
        "pid": session.pid,
        "started": seconds(session.started),
        "opened": seconds(session.opened),
        "now": seconds(store.now),
        "name": session.name,
        "program": session.program,
        "cwd": session.cwd,
        "host": session.host,
        "user": session.user,
        "python": session.python,
        "implementation": session.implementation,
        "probe": session.probe,
        "hooks": session.hooks,
        "capabilities": sorted(session.capabilities),
    }


def loop_object(loop: Loop) -> Object:
    """State and figures of one event loop."""
    known = loop.busy is not None
    return {
        "id": loop.id,
        "kind": loop.kind,
        "thread": loop.thread,
        "name": loop.name,
        "lag": seconds(loop.lag) if known else None,
        "utilization": seconds(loop.utilization),
        "ready": loop.ready,
        "timers": loop.timers,
        "steps": loop.steps if known else None,
        "steps_per_s": rounded(loop.steps_per_s),
        "running": loop.running,
        "blocked": seconds(loop.blocked) if known else None,
        "blocked_at_least": loop.block is not None and loop.block.at_least if known else None,
        "blocked_at": site_object(loop.block.line) if loop.block is not None else None,
    }


def process_object(store: Store) -> Object:
    """The watched process, and the cost and losses of watching it."""
    process, probe = store.process, store.probe
    return {
        "rss": process.rss,
        "cpu": seconds(process.cpu),
        "threads": process.threads,
        "fds": process.fds,
        "probe_share": seconds(probe.share),
        "viewers": probe.viewers,
        "dropped": probe.dropped,
        "dropped_at": seconds(probe.dropped_at),
        "unnamed": probe.unnamed,
        "off": list(probe.off),
    }


def task_object(task: Task, store: Store) -> Object:
    """A live task. If it was not counted from its start, the figures are lower bounds, or null if there are none."""
    detail = store.details.get(task.id)
    counted = task.counted is None or task.steps > 0
    return {
        "id": task.id,
        "name": task.name,
        "coro": task.coro,
        "label": task.label,
        "state": task.state_name,
        "loop": task.loop,
        "age": seconds(task.age(store.now)),
        "busy": seconds(task.busy) if counted or task.busy else None,
        "scheduled": seconds(task.scheduled) if counted else None,
        "idle": seconds(task.idle(store.now)),
        "steps": task.steps if counted else None,
        "max_step": seconds(task.max_step) if counted or task.max_step else None,
        "parent": None if store.read_only else task.parent or None,
        "awaited_by": None if detail is None else list(detail.awaited_by),
        "creation_site": site_object(task.site),
        "origin": None if detail is None else stack_or_none(detail.origin),
        "await_stack": None if detail is None else stack(detail.await_stack),
        "at": site_object(task.at),
        "waiting_on": _known_wait(task) if detail is None else wait_object(detail),
        "exception": None,
        "born_before_attach": task.born_before_attach,
        "counted_since": seconds(task.counted),
        "cancelled_by": None,
    }


def ended_object(task: EndedTask) -> Object:
    """An ended task, with the keys of a live one."""
    known = (task.age, task.busy, task.scheduled)
    idle = None if task.age is None or task.busy is None else max(task.age - task.busy - (task.scheduled or 0.0), 0.0)
    age, busy, scheduled = (seconds(value) for value in known)
    return {
        "id": task.id,
        "name": task.name,
        "coro": task.coro,
        "label": task.label,
        "state": _outcome(task),
        "loop": task.loop or None,
        "age": age,
        "busy": busy,
        "scheduled": scheduled,
        "idle": seconds(idle),
        "steps": task.steps,
        "max_step": seconds(task.max_step),
        "parent": task.parent or None,
        "awaited_by": [],
        "creation_site": site_object(task.site),
        "origin": None,
        "await_stack": [],
        "at": None,
        "waiting_on": None,
        "exception": failure_object(task.failure),
        "born_before_attach": task.age is None,
        "counted_since": None,
        "cancelled_by": canceller_object(task.cancelled_by),
    }


def _outcome(task: EndedTask) -> str | None:
    """How a task ended; null if it was read from outside, where that is not visible."""
    return None if task.outcome == "ended" else task.outcome


def holder_object(holder: GilHolder | None) -> Object | None:
    """The thread that held the GIL, and where; null if not known."""
    if holder is None:
        return None
    return {
        "thread": holder.thread,
        "threads": holder.threads,
        "line": site_object(holder.line),
        "stack": stack(holder.stack),
    }


def slow_callback_object(slow: SlowCallback) -> Object:
    """A slow callback with the blocking code, outermost frame first."""
    return {
        "type": "slow_callback",
        "label": slow.label,
        "time": seconds(slow.at),
        "duration": seconds(slow.duration),
        "at_least": slow.at_least,
        "starved": seconds(slow.starved),
        "gil": seconds(slow.gil),
        "held_by": holder_object(slow.held_by),
        "reasons": {name: seconds(part) for name, part in slow.reasons.items()},
        "loop": slow.loop,
        "task": slow.task,
        "name": slow.name,
        "callback": slow.callback,
        "line": site_object(slow.line),
        "stack": stack(slow.stack),
    }


def blocked_object(loop: Loop, block: Block, store: Store) -> Object:
    """A callback that blocks its loop now: what is known of a slow callback before it ends."""
    task = store.tasks.get(loop.running or 0)
    return {
        "type": "blocked",
        "label": None if task is None else task.label,
        "time": seconds(store.now),
        "duration": seconds(loop.blocked),
        "at_least": block.at_least,
        "starved": seconds(block.starved),
        "loop": loop.id,
        "task": None if task is None else task.id,
        "name": None if task is None else task.name,
        "callback": callback(store, loop),
        "line": site_object(block.line),
        "stack": stack(block.stack),
    }


def task_ended_object(task: EndedTask) -> Object:
    """An ended task, as an event."""
    return {
        "type": "task_ended",
        "time": seconds(task.ended),
        "task": task.id,
        "name": task.name,
        "coro": task.coro,
        "label": task.label,
        "outcome": _outcome(task),
        "exception": exception_object(task.failure),
        "cancelled_by": canceller_object(task.cancelled_by),
        "age": seconds(task.age),
        "busy": seconds(task.busy),
        "steps": task.steps,
        "traceback": None if task.failure is None else stack(task.failure.traceback),
        "locals": locals_object(task.failure),
    }


def canceller_object(by: CancelledBy | None) -> Object | None:
    """The canceller of a task; null if it was not cancelled, or the canceller is not known."""
    if by is None:
        return None
    through = {"task": by.through, "name": by.through_name}
    return {
        "text": words(by),
        "how": by.how or None,
        "task": by.task,
        "name": by.name,
        "line": site_object(by.site),
        "asked": by.asked,
        "through": None if by.through is None else through,
    }


def unhandled_object(unhandled: Unhandled) -> Object:
    """A call of the loop's exception handler."""
    return {
        "type": "unhandled",
        "time": seconds(unhandled.at),
        "message": unhandled.message,
        "exception": exception_object(unhandled.failure),
        "task": unhandled.task,
        "name": unhandled.name,
        "coro": unhandled.coro or None,
        "label": unhandled.label,
        "traceback": None if unhandled.failure is None else stack(unhandled.failure.traceback),
        "locals": locals_object(unhandled.failure),
    }


def failure_object(failure: Failure | None) -> Object | None:
    """An exception and where it was raised."""
    if failure is None:
        return None
    where = {"traceback": stack(failure.traceback), "locals": locals_object(failure)}
    return {"type": failure.type, "message": failure.message, **where}


def locals_object(failure: Failure | None) -> list[Object | None] | None:
    """Local variables by frame of the traceback; null if they were not kept."""
    if failure is None or failure.locals is None:
        return None
    return [None if names is None else dict(names) for names in failure.locals]


def exception_object(failure: Failure | None) -> Object | None:
    """Return an exception as a JSON object: type, message and place."""
    return None if failure is None else {"type": failure.type, "message": failure.message}


def wait_object(detail: TaskDetail) -> Object | None:
    """What a task waits on."""
    wait = detail.waiting_on
    return None if wait is None else {"kind": wait.kind, "repr": wait.repr, **wait.facts}


def _known_wait(task: Task) -> Object | None:
    """The limited facts about the wait of a task in a recording that nobody inspected."""
    return None if task.wait_kind is None else {"kind": task.wait_kind, "repr": task.wait_text or ""}


def site_object(site: Site | None) -> Object | None:
    """A line of code: file, line, function."""
    return None if site is None else {"file": site.file, "line": site.line, "function": site.function}


def stack(sites: Iterable[Site]) -> list[Object | None]:
    """Lines of code, in the same order."""
    return [site_object(site) for site in sites]


def stack_or_none(sites: Iterable[Site] | None) -> list[Object | None] | None:
    """As `stack`, for a stack that may be unknown."""
    return None if sites is None else stack(sites)


def seconds(value: float | None) -> float | None:
    """A duration, a point in time or a share, always as float."""
    return None if value is None else round(float(value), _DIGITS)


def rounded(value: float | None) -> float | None:
    """Round a rate to what JSON shows; None stays None."""
    return None if value is None else round(value, 3)


_UNITS = {
    "lag": SECOND,
    "utilization": 1e-3,
    "cpu": 1e-3,
    "rss": 1024,
    "gc_time": SECOND,
    "gc_longest": SECOND,
}
"""What one of a column of the history is, in the units of JSON."""


def history_objects(store: Store) -> list[Object]:
    """What the probe remembers: rows of a second and of ten, of the process (`loop` is null) and of each loop."""
    return [
        {
            "loop": rows.loop or None,
            "step": rows.step * SECOND,
            "from": seconds(rows.from_ * SECOND),
            "columns": {
                name: [None if value < 0 else round(value * _UNITS.get(name, 1), _DIGITS) for value in values]
                for name, values in rows.columns.items()
            },
        }
        for rows in store.past.as_rows()
    ]
