"""Declares the columns of tasks, groups of tasks, lines that blocked and ended tasks, a table each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.store.column import Attribute, Column, figure
from monitor.store.labels import canceller_text, site_text, when
from monitor.store.task_names import who, words
from probes.base import protocol

if TYPE_CHECKING:
    from monitor.store.end_rows import EndRow
    from monitor.store.groups import Group
    from monitor.store.model import Task
    from monitor.store.slow_log import BlockingLine
    from monitor.store.store import Store

GLYPHS = {
    "running": "▶",
    "scheduled": "▷",
    "waiting": "·",
    "done": "✓",
    "cancelled": "⊘",
    "failed": "✗",
    "unhandled": "!",
    "ended": "■",
}
"""Signs of states. Never the only carrier of meaning: the word stands beside it if there is room."""


def _partial(task: Task, text: str, known: float) -> str:
    """Mark a figure as a lower bound if the task lived before its steps were counted. `known`: 0 if none were."""
    if task.counted is None:
        return text
    return "≥" + text if known else fmt.UNKNOWN


def _age(task: Task, store: Store) -> float | None:
    """Format the age of a task. For one older than the probe, a lower bound: the time since the probe came."""
    age = task.age(store.now)
    if age is not None or store.session is None or store.read_only or not task.seen:
        return age
    return max(store.now - store.session.opened, 0.0)


def _age_text(task: Task, store: Store) -> str:
    age = _age(task, store)
    return fmt.age(age) if age is None or task.born is not None else f"≥{fmt.age(age)}"


def _idle(task: Task, store: Store) -> float | None:
    """Format the time a task was suspended; a lower bound if its steps are not counted from its birth."""
    if store.read_only:
        return None
    return task.idle_since(task.born if task.counted is None else task.counted, store.now)


def _idle_text(task: Task, store: Store) -> str:
    idle = _idle(task, store)
    return fmt.age(idle) if idle is None or task.counted is None else f"≥{fmt.age(idle)}"


def wait_text(task: Task, _store: Store) -> str:
    """Format what a task waits on: kind and details; empty if it does not wait."""
    if task.wait_kind is None or task.state != protocol.WAITING:
        return ""
    return f"{task.wait_kind} {task.wait_text}" if task.wait_text else task.wait_kind


def _waits_at(task: Task, store: Store) -> str:
    return site_text(task.at, store) if task.at is not None and task.state == protocol.WAITING else ""


def _state(task: Task, _store: Store) -> str:
    return f"{GLYPHS[task.state_name]} {task.state_name}"


def _share(task: Task, store: Store) -> float | None:
    """Return the share, or None until it has been measured, or if the program is read from outside."""
    if store.read_only:
        return None
    return None if not task.share and store.now - store.watched_since < store.tasks.share_over else task.share


def _scheduled(task: Task, _store: Store) -> str:
    return fmt.UNKNOWN if task.scheduled is None else _partial(task, fmt.duration(task.scheduled), task.steps)


def _blocking_line(group: BlockingLine, store: Store) -> str:
    if group.line is not None:
        return site_text(group.line, store)
    return "(a call with no line)" if group.now else "(over before it was caught)"


def _blocked_for(group: BlockingLine) -> float:
    return group.total + (group.now.duration if group.now else 0.0)


def _longest_of(group: BlockingLine) -> float:
    return max(group.worst, group.now.duration if group.now else 0.0)


def _blocker(group: BlockingLine, _store: Store) -> str:
    if group.now is not None:
        return group.now.name
    if not group.callbacks:
        return ""
    last = group.callbacks[-1]
    known = words(last.name, last.callback.removesuffix("()"), None)
    return who(None, last.name, last.callback, None if known else last.label)  # it has a column of its own, too


TASKS: tuple[Column[Task], ...] = (
    figure(
        "id", "ID", 6, "number of the task, counted by the probe", str, Attribute("id"), priority=2, descending=False
    ),
    Column("name", "Name", 18, "name of the task", lambda t, s: t.name, Attribute("name"), descending=False),
    Column(
        "label",
        "Label",
        18,
        "what it works on, as people call it: a route, an RPC method",
        lambda t, s: t.label or "",
        Attribute("label"),
        priority=3,
        descending=False,
        optional=True,
    ),
    Column(
        "state",
        "State",
        11,
        "running, scheduled (ready, waiting for its turn) or waiting",
        _state,
        Attribute("state"),
        descending=False,
    ),
    Column("age", "Age", 6, "time since birth", _age_text, _age, unit="s", right=True),
    figure(
        "share",
        "Now",
        5,
        "share of the last second that it kept the loop busy",
        fmt.percent,
        _share,
        unit="0..1",
        priority=3,
    ),
    Column(
        "busy",
        "Busy",
        7,
        "time spent inside its steps",
        lambda t, s: _partial(t, fmt.duration(t.busy), t.busy),
        Attribute("busy", measured=True),
        unit="s",
        right=True,
    ),
    Column(
        "scheduled",
        "Sched",
        7,
        "time from being made ready to the start of its steps",
        _scheduled,
        Attribute("scheduled"),
        unit="s",
        right=True,
        priority=4,
    ),
    Column(
        "idle",
        "Idle",
        6,
        "time suspended, waiting for something",
        _idle_text,
        _idle,
        unit="s",
        right=True,
        priority=5,
    ),
    Column(
        "steps",
        "Steps",
        7,
        "runs of its coroutine between two suspensions",
        lambda t, s: _partial(t, fmt.count(t.steps), t.steps),
        Attribute("steps", measured=True),
        right=True,
        priority=4,
    ),
    Column(
        "max_step",
        "Max",
        7,
        "its longest step",
        lambda t, s: _partial(t, fmt.duration(t.max_step), t.max_step),
        Attribute("max_step", measured=True),
        unit="s",
        right=True,
        priority=2,
    ),
    Column(
        "waiting_on",
        "Waits on",
        20,
        "what it waits on, for visible rows",
        wait_text,
        wait_text,
        priority=3,
        descending=False,
    ),
    Column(
        "at",
        "At",
        18,
        "the line of your code at which it waits, of the rows in sight",
        _waits_at,
        _waits_at,
        priority=2,
        descending=False,
    ),
    Column(
        "coro",
        "Coroutine",
        18,
        "its coroutine",
        lambda t, s: t.coro,
        Attribute("coro"),
        priority=6,
        descending=False,
    ),
    Column(
        "creation_site",
        "Created at",
        0,
        "line of your code that created it",
        lambda t, s: site_text(t.site, s),
        Attribute("site", site_text),
        priority=5,
        descending=False,
    ),
)


GROUPS: tuple[Column[Group], ...] = (
    Column(
        "creation_site",
        "Created at",
        0,
        "line of your code that created them",
        lambda g, s: site_text(g.site, s),
        lambda g, s: site_text(g.site, s),
        descending=False,
    ),
    figure("tasks", "Tasks", 6, "live tasks of this site", fmt.count, lambda g, s: g.tasks),
    figure(
        "births_per_s",
        "Born/s",
        6,
        "births per second",
        fmt.rate,
        lambda g, s: g.stats.births_per_s if g.stats else 0.0,
    ),
    figure(
        "deaths_per_s", "Ended/s", 7, "ends per second", fmt.rate, lambda g, s: g.stats.deaths_per_s if g.stats else 0.0
    ),
    figure(
        "share",
        "Now",
        5,
        "share of the last second that they kept the loop busy",
        fmt.percent,
        lambda g, s: g.share,
        unit="0..1",
    ),
    figure(
        "busy",
        "Busy",
        7,
        "time spent inside their steps, ended tasks included",
        fmt.duration,
        lambda g, s: g.busy,
        unit="s",
    ),
    figure("steps", "Steps", 7, "steps, ended tasks included", fmt.count, lambda g, s: g.steps, priority=2),
    figure("waiting", "Wait", 6, "tasks that wait", fmt.count, lambda g, s: g.waiting, priority=3),
    figure(
        "failed",
        "Failed",
        6,
        "tasks that failed since watching began",
        fmt.count,
        lambda g, s: g.stats.failed if g.stats else 0,
        priority=2,
    ),
    figure("oldest", "Oldest", 6, "age of the oldest live task", fmt.age, lambda g, s: g.oldest, unit="s", priority=3),
)

SLOW: tuple[Column[BlockingLine], ...] = (
    Column(
        "line",
        "Line",
        0,
        "line that blocked the loop",
        _blocking_line,
        lambda b, s: site_text(b.line, s),
        descending=False,
    ),
    figure("count", "Count", 6, "how often", fmt.count, lambda b, s: b.count + (b.now is not None)),
    Column(
        "total",
        "Total",
        7,
        "total time it blocked the loop",
        lambda b, s: fmt.bound(_blocked_for(b), b.at_least),
        lambda b, s: _blocked_for(b),
        unit="s",
        right=True,
    ),
    Column(
        "worst",
        "Worst",
        7,
        "longest time it blocked the loop",
        lambda b, s: fmt.bound(_longest_of(b), b.at_least),
        lambda b, s: _longest_of(b),
        unit="s",
        right=True,
    ),
    figure(
        "gil",
        "GIL",
        7,
        "part of the total spent waiting for the GIL, held by other threads: not the fault of this line",
        lambda seconds: fmt.duration(seconds) if seconds else "",
        lambda b, s: b.gil,
        unit="s",
        priority=2,
        optional=True,
    ),
    Column(
        "last",
        "Last",
        10,
        "time since the last block ended",
        lambda b, s: "now" if b.now else when(b.last, s),
        lambda b, s: s.now if b.now else b.last,
        unit="s",
        right=True,
        priority=2,
    ),
    Column(
        "task",
        "Task",
        18,
        "task or callback that blocked last",
        _blocker,
        _blocker,
        priority=2,
        descending=False,
    ),
    Column(
        "label",
        "Label",
        18,
        "what most of its tasks worked on, as people call it: a route, an RPC method",
        lambda b, s: b.label or "",
        lambda b, s: b.label or "",
        priority=2,
        descending=False,
        optional=True,
    ),
)

ENDED: tuple[Column[EndRow], ...] = (
    Column(
        "ended",
        "Ended",
        10,
        "time since it ended",
        lambda e, s: when(e.ended, s),
        lambda e, s: e.ended,
        unit="s",
        right=True,
    ),
    figure("id", "ID", 6, "number of the task", str, lambda e, s: e.id, priority=3),
    Column("name", "Name", 18, "name of the task", lambda e, s: e.name, lambda e, s: e.name, descending=False),
    Column(
        "outcome",
        "Outcome",
        11,
        "done, cancelled or failed",
        lambda e, s: f"{GLYPHS[e.outcome]} {e.outcome}",
        lambda e, s: e.outcome,
        descending=False,
    ),
    figure("age", "Age", 6, "how long it lived", fmt.duration, lambda e, s: e.age, unit="s", priority=2),
    figure("busy", "Busy", 7, "time spent inside its steps", fmt.duration, lambda e, s: e.busy, unit="s", priority=2),
    figure("steps", "Steps", 6, "how many steps", fmt.count, lambda e, s: e.steps, priority=3),
    Column(
        "exception",
        "Exception",
        0,
        "the exception, or what cancelled the task",
        lambda e, s: e.failure.text if e.failure else canceller_text(e.cancelled_by, s),
        lambda e, s: e.failure.type if e.failure else canceller_text(e.cancelled_by, s),
        descending=False,
    ),
    Column(
        "label",
        "Label",
        18,
        "what it worked on, as people call it: a route, an RPC method",
        lambda e, s: e.label or "",
        lambda e, s: e.label or "",
        priority=3,
        descending=False,
        optional=True,
    ),
    Column(
        "coro",
        "Coroutine",
        18,
        "its coroutine",
        lambda e, s: e.coro,
        lambda e, s: e.coro,
        priority=4,
        descending=False,
    ),
    Column(
        "creation_site",
        "Created at",
        24,
        "line of your code that created it",
        lambda e, s: site_text(e.site, s),
        lambda e, s: site_text(e.site, s),
        priority=5,
        descending=False,
    ),
)
