"""One declaration a column: header, sort, cell, help, JSON key and documentation all come from it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from monitor import format as fmt
from monitor.store.cancelled import words
from monitor.store.groups import Group
from monitor.store.model import CancelledBy, EndedTask, Site, Task
from monitor.store.slow_log import BlockingLine
from monitor.store.store import Store
from probes import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Row = TypeVar("Row")
SHORT_NAME = 16
"""Cells of a coroutine's name that keep its class before it."""

_GIVEN = re.compile(r"Task-\d+")
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
"""Never the only carrier of a meaning: the word stands beside it where there is room."""


class Attribute:
    """Sorts by an attribute of the row itself: of a crowd that takes a fifth of asking a function for each."""

    def __init__(self, name: str, shown: Callable[[Any, Store], Any] | None = None, *, measured: bool = False) -> None:
        """`shown` makes of it what is sorted by. A `measured` one is not known where nothing is measured."""
        self._get: Callable[[Any], Any] = attrgetter(name)
        self._shown = shown
        self._measured = measured

    def __call__(self, row: Any, store: Store) -> Any:
        """The value of one row."""
        return self.values([row], store)[0]

    def values(self, rows: Sequence[Any], store: Store) -> list[Any]:
        """The values of several, in their order."""
        if self._measured and _outside(store):
            return [None] * len(rows)
        found = list(map(self._get, rows))
        if self._shown is None:
            return found
        each = {id(value): value for value in found}  # many share one
        shown = {number: self._shown(value, store) for number, value in each.items()}
        return [shown[id(value)] for value in found]


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column of a table of `Row`s."""

    key: str  # as in the JSON, and in filters
    title: str
    width: int  # cells; 0: takes what is left
    help: str
    text: Callable[[Row, Store], str]  # what the cell shows, not cleaned or cut
    sort: Callable[[Row, Store], Any] | None = None  # what it sorts by; None sorts last
    unit: str = ""
    right: bool = False
    priority: int = 1  # 1 is always shown; the highest goes first where the screen is narrow
    descending: bool = True  # the order that a first click on the header gives


def figure(
    key: str,
    title: str,
    width: int,
    help: str,  # noqa: A002 - as the field is called
    show: Callable[[Any], str],
    value: Callable[[Row, Store], Any],
    *,
    unit: str = "",
    priority: int = 1,
    descending: bool = True,
) -> Column[Row]:
    """A column of numbers: it sorts by the value that it shows."""
    return Column(
        key,
        title,
        width,
        help,
        lambda row, store: show(value(row, store)),
        value,
        unit=unit,
        right=True,
        priority=priority,
        descending=descending,
    )


def _partial(task: Task, text: str) -> str:
    """A lower bound is shown as one: the task lived before its steps were counted."""
    if task.counted is None:
        return text
    return "≥" + text if task.steps else fmt.UNKNOWN


def _outside(store: Store) -> bool:
    """Whether the program is read from outside, where no times are taken."""
    return store.session is not None and store.session.read_only


def called(name: str, coro: str) -> str:
    """What a task is called where there is no column for its coroutine: a name that asyncio gave says nothing."""
    if name and not _GIVEN.fullmatch(name):
        return name
    short = coro.rpartition("<locals>.")[2]
    short = short if len(short) <= SHORT_NAME else short.rpartition(".")[2]
    return f"{short}()" if short else name or fmt.UNKNOWN


def who(name: str | None, what: str | None) -> str:
    """Of whom an event tells: a task by its name or else its coroutine, or a callback. Empty: nobody knows."""
    if not name or not what:
        return name or what or ""
    return called(name, what.removesuffix("()"))


def site_text(site: Site | None, store: Store) -> str:
    """`app.py:12 spawn`."""
    if site is None:
        return fmt.UNKNOWN
    return f"{fmt.short_path(site.file, _roots(store))}:{site.line} {site.function.rpartition('.')[2]}"


def canceller_text(by: CancelledBy | None, store: Store) -> str:
    """`by window-3 at app.py:42`; empty where it is not known."""
    return "" if by is None else words(by, _roots(store))


def _roots(store: Store) -> tuple[str, ...]:
    return tuple(store.session.paths.get("path", [])) if store.session else ()


def _wait(task: Task, _store: Store) -> str:
    if task.wait_kind is None or task.state != wire.WAITING:
        return ""
    return f"{task.wait_kind} {task.wait_text}" if task.wait_text else task.wait_kind


def _state(task: Task, _store: Store) -> str:
    return f"{GLYPHS[task.state_name]} {task.state_name}"


def _share(task: Task, store: Store) -> float | None:
    """Not known until somebody has watched for long enough, nor from outside."""
    if _outside(store):
        return None
    return None if not task.share and store.now - store.watched_since < store.tasks.share_over else task.share


def _scheduled(task: Task, _store: Store) -> str:
    return fmt.UNKNOWN if task.scheduled is None else _partial(task, fmt.duration(task.scheduled))


TASKS: tuple[Column[Task], ...] = (
    figure(
        "id", "ID", 6, "number of the task, counted by the probe", str, Attribute("id"), priority=2, descending=False
    ),
    Column("name", "Name", 18, "name of the task", lambda t, s: t.name, Attribute("name"), descending=False),
    Column(
        "state",
        "State",
        11,
        "running, scheduled (ready, waits for its turn) or waiting",
        _state,
        Attribute("state"),
        descending=False,
    ),
    figure("age", "Age", 6, "time since birth", fmt.age, lambda t, s: t.age(s.now), unit="s"),
    figure(
        "share",
        "Now",
        5,
        "share of the last second that it kept the loop busy",
        fmt.percent,
        _share,
        unit="0..1",
        priority=2,
    ),
    Column(
        "busy",
        "Busy",
        7,
        "time spent inside its steps",
        lambda t, s: _partial(t, fmt.duration(t.busy)),
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
    figure(
        "idle",
        "Idle",
        6,
        "time suspended, waiting for something",
        fmt.age,
        lambda t, s: t.idle(s.now),
        unit="s",
        priority=5,
    ),
    Column(
        "steps",
        "Steps",
        7,
        "runs of its coroutine between two suspensions",
        lambda t, s: _partial(t, fmt.count(t.steps)),
        Attribute("steps", measured=True),
        right=True,
        priority=4,
    ),
    Column(
        "max_step",
        "Max",
        7,
        "its longest step",
        lambda t, s: _partial(t, fmt.duration(t.max_step)),
        Attribute("max_step", measured=True),
        unit="s",
        right=True,
        priority=2,
    ),
    Column(
        "waiting_on",
        "Waits on",
        20,
        "what it waits on, of the rows in sight",
        _wait,
        _wait,
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
        "the line of your code that made it",
        lambda t, s: site_text(t.site, s),
        Attribute("site", site_text),
        priority=3,
        descending=False,
    ),
)


GROUPS: tuple[Column[Group], ...] = (
    Column(
        "creation_site",
        "Created at",
        0,
        "the line of your code that made them",
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
        "the line that blocked the loop",
        lambda b, s: site_text(b.line, s) if b.line else "(over before it was caught)",
        lambda b, s: site_text(b.line, s),
        descending=False,
    ),
    figure("count", "Count", 6, "how often", fmt.count, lambda b, s: b.count),
    figure("total", "Total", 7, "how long, together", fmt.duration, lambda b, s: b.total, unit="s"),
    figure("worst", "Worst", 7, "the longest", fmt.duration, lambda b, s: b.worst, unit="s"),
    Column(
        "last",
        "Last",
        10,
        "how long ago the last one ended",
        lambda b, s: fmt.age(max(s.now - b.last, 0.0)) + " ago",
        lambda b, s: b.last,
        unit="s",
        right=True,
        priority=2,
    ),
    Column(
        "task",
        "Task",
        18,
        "task or callback of the last one",
        lambda b, s: who(b.callbacks[-1].name, b.callbacks[-1].callback) if b.callbacks else "",
        lambda b, s: who(b.callbacks[-1].name, b.callbacks[-1].callback) if b.callbacks else "",
        priority=2,
        descending=False,
    ),
)

ENDED: tuple[Column[EndedTask], ...] = (
    Column(
        "ended",
        "Ended",
        10,
        "how long ago it ended",
        lambda e, s: fmt.age(max(s.now - e.ended, 0.0)) + " ago",
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
        "what it failed with, or who cancelled it",
        lambda e, s: f"{e.failure.type}: {e.failure.message}" if e.failure else canceller_text(e.cancelled_by, s),
        lambda e, s: e.failure.type if e.failure else canceller_text(e.cancelled_by, s),
        descending=False,
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
        "the line of your code that made it",
        lambda e, s: site_text(e.site, s),
        lambda e, s: site_text(e.site, s),
        priority=5,
        descending=False,
    ),
)


def ordered(rows: list[Row], column: Column[Row], store: Store, descending: bool) -> list[Row]:
    """Rows in the order of a column; what is not known comes last whichever way it is sorted."""
    key = column.sort
    if key is None:
        return rows
    values = key.values(rows, store) if isinstance(key, Attribute) else [key(row, store) for row in rows]
    unknown: list[Row] = []
    if None in values:
        unknown = [row for row, value in zip(rows, values, strict=True) if value is None]
        rows = [row for row, value in zip(rows, values, strict=True) if value is not None]
        values = [value for value in values if value is not None]
    places = sorted(range(len(values)), key=values.__getitem__, reverse=descending)
    return [rows[place] for place in places] + unknown


def by_key(columns: tuple[Column[Row], ...], key: str) -> Column[Row] | None:
    """The column of a key, or None."""
    return next((column for column in columns if column.key == key), None)
