"""The rows of live tasks: as a list, as a tree by parent, and grouped by creation site."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from monitor import formatting as fmt
from monitor.store.column import Column
from monitor.store.columns import GLYPHS, GROUPS, TASKS
from monitor.store.end_rows import EndRow, UnhandledRow
from monitor.store.ends import at_its_end
from monitor.store.groups import Group, groups
from monitor.store.lineage import awaiters
from monitor.store.model import Site, Task
from monitor.store.query import Predicate
from monitor.store.store import Store
from monitor.store.task_names import called
from monitor.tui.base.paint import Part
from monitor.tui.base.theme import STATE_STYLES, delay_style, label_style, load_style
from monitor.tui.rows.base import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Hashable, Sequence

_ID = attrgetter("id")
_PARENT = attrgetter("parent")
INDENT = 2
TREE_NAME = 34
DEEPEST = 12
"""Deepest indentation of the tree: names need room."""

OF_ENDED = {"state": f"{GLYPHS['ended']} ended", "share": "", "idle": "", "waiting_on": ""}
"""Cells of a task that ended since the last `arrange`: no figures of the present."""


def with_coroutine(cells: list[Part], columns: Sequence[Column[Any]], row: Task | EndRow) -> list[Part]:
    """Names a task that asyncio named by its coroutine, or by its label where there is no room for that column.

    Also beside the column of its coroutine: which columns fit differs, and a task has one name on all screens.
    """
    keys = [column.key for column in columns]
    if "name" not in keys:
        return cells
    number = keys.index("name")
    coro = row.entry.coro if isinstance(row, UnhandledRow) else row.coro
    name = called(row.name, coro)
    if row.label and "label" not in keys and name != row.name:
        style = cells[number][1]
        cells[number] = (row.label, label_style(row.label) if style == "strong" else style)
    else:
        cells[number] = (name, cells[number][1])
    return cells


class TaskRows(Rows[Task]):
    """Live tasks. One that ends stays, faint, until the next `arrange`, so that rows do not jump."""

    columns = TASKS
    default_sort = "busy"

    def __init__(self, store: Store) -> None:
        self.predicate: Predicate | None = None
        self.site: tuple[Site | None] | None = None  # only tasks of this creation site
        super().__init__(store)

    def passes(self) -> Callable[[Task], bool] | None:
        """The filter, or None if all tasks match."""
        predicate, site, store = self.predicate, self.site, self.store
        if site is not None:
            only = site[0]
            return lambda task: task.site == only and (predicate is None or predicate(task, store))
        if predicate is not None:
            return lambda task: predicate(task, store)
        return None

    def choose(self) -> list[Task]:
        """The live tasks that match the filter."""
        passes = self.passes()
        tasks = self.store.tasks.values()
        return list(tasks) if passes is None else [task for task in tasks if passes(task)]

    def key_of(self, row: Task) -> Hashable:
        """The id of the task."""
        return row.id

    def places(self) -> dict[Hashable, int]:
        """As in the base class, but faster for many tasks."""
        return dict(zip(map(_ID, self.rows), range(len(self.rows)), strict=True))

    def now(self, row: Task) -> Task:
        """Looks the task up again: a renamed task is a new object. One that ended gets its final figures."""
        live = self.store.tasks.get(row.id)
        if live is not None:
            return live
        end = self.store.ended.of(row.id)
        return row if end is None else at_its_end(row, end)

    def cells(self, index: int, columns: Sequence[Column[Any]]) -> list[Part]:
        """Marks an ended task, whose last state is no longer true."""
        row = self.now(self.rows[index])
        cells = with_coroutine(super().cells(index, columns), columns, row)
        if row.id in self.store.tasks:
            return cells
        end = self.store.ended.of(row.id)
        age = "" if end is None or end.age is None else fmt.duration(end.age)
        texts = {**OF_ENDED, "age": age}
        return [(texts.get(column.key, text), style) for column, (text, style) in zip(columns, cells, strict=True)]

    def style(self, row: Task, key: str) -> str:
        """Colours by state and load."""
        if row.id not in self.store.tasks:
            return "faint"
        match key:
            case "state":
                return STATE_STYLES[row.state_name]
            case "share":
                return load_style(row.share)
            case "max_step":
                return delay_style(row.max_step)
            case "name":
                return "strong"
            case "label":
                return label_style(row.label)
            case "id" | "age" | "idle" | "scheduled":
                return "dim"
            case "waiting_on" if row.wait_kind in ("lock", "condition", "semaphore", "barrier"):
                return "accent"
            case _:
                return "text"


class TreeRows(TaskRows):
    """Live tasks below their parents. Ancestors of matches stay, faint, to show where they belong."""

    columns = tuple(replace(column, width=TREE_NAME) if column.key == "name" else column for column in TASKS)
    default_sort = "id"

    def __init__(self, store: Store) -> None:
        self.folded: set[int] = set()
        self._levels: dict[int, int] = {}  # of the children of a task
        self.awaiters: dict[int, int] = {}  # by task with an unknown parent: the task it is shown below
        self._awaiting: frozenset[int] = frozenset()
        self._matching: frozenset[int] | None = None
        super().__init__(store)

    def order(self, rows: list[Task]) -> list[Task]:
        """Depth first, siblings by the chosen column."""
        tasks = self.store.tasks
        self.awaiters = awaiters(self.store)
        self._awaiting = frozenset(self.awaiters.values())
        self._matching = None
        kept: Container[int] = tasks
        if self.passes() is not None:
            self._matching = frozenset(task.id for task in rows)
            kept = self._with_ancestors(rows)
            rows = [tasks[task_id] for task_id in sorted(kept)]
        families: dict[int, list[Task]] = {}
        roots: list[Task] = []
        before, family = -1, roots  # neighbours are often siblings
        ordered_rows = super().order(rows)
        parents = map(self.above, ordered_rows) if self.awaiters else map(_PARENT, ordered_rows)
        for task, parent in zip(ordered_rows, parents, strict=True):
            if parent != before:
                before, family = parent, families.setdefault(parent, []) if parent in kept else roots
            if parent == task.id:
                roots.append(task)
            else:
                family.append(task)
        self._levels = {}
        result: list[Task] = []
        pending = [iter(roots)]
        while pending:
            for task in pending[-1]:
                result.append(task)
                family = families.get(task.id, [])
                if not family or task.id in self.folded:
                    continue
                self._levels[task.id] = len(pending)
                if families.keys().isdisjoint(map(_ID, family)):
                    result += family  # many leaves at once
                else:
                    pending.append(iter(family))
                    break
            else:
                pending.pop()
        return result

    def above(self, task: Task) -> int:
        """The task shown above this one: its parent, or one that awaits it if the parent is unknown; 0 for none."""
        return self.awaiters.get(task.id, task.parent)

    def has_below(self, task_id: int) -> bool:
        """Whether a task has others below it."""
        return task_id in self._awaiting or self.store.tasks.has_children(task_id)

    def _with_ancestors(self, rows: list[Task]) -> set[int]:
        """The ids of tasks and all their ancestors."""
        kept = {task.id for task in rows}
        for task in rows:
            parent = self.store.tasks.get(self.above(task))
            while parent is not None and parent.id not in kept:
                kept.add(parent.id)
                parent = self.store.tasks.get(self.above(parent))
        return kept

    def cells(self, index: int, columns: Sequence[Column[Any]]) -> list[Part]:
        """Indents the name and marks it as folded or not."""
        cells = super().cells(index, columns)
        task = self.rows[index]
        for number, column in enumerate(columns):
            if column.key == "name":
                text, style = cells[number]
                cells[number] = (self._branch(task) + text, style)
        return cells

    def _branch(self, task: Task) -> str:
        above = self.above(task)
        depth = 0 if above == task.id else min(self._levels.get(above, 0), DEEPEST)
        mark = " "
        if self.has_below(task.id):
            mark = "▸" if task.id in self.folded else "▾"
        return " " * (INDENT * depth) + mark + " "

    def style(self, row: Task, key: str) -> str:
        """Ancestors that do not match are faint."""
        if self._matching is not None and row.id not in self._matching:
            return "faint"
        return super().style(row, key)

    def fold(self, task_id: int, folded: bool) -> bool:
        """Folds or unfolds a task; True if that changed anything."""
        if folded == (task_id in self.folded) or not self.has_below(task_id):
            return False
        if folded:
            self.folded.add(task_id)
        else:
            self.folded.discard(task_id)
        return True


class GroupRows(Rows[Group]):
    """Live tasks by creation site, including sites with only short-lived tasks."""

    columns = GROUPS
    default_sort = "tasks"

    def __init__(self, store: Store) -> None:
        self.predicate: Predicate | None = None
        super().__init__(store)

    def choose(self) -> list[Group]:
        """The groups of the tasks that match the filter."""
        predicate = self.predicate
        if predicate is None:
            return groups(self.store)
        return groups(self.store, [task for task in self.store.tasks.values() if predicate(task, self.store)])

    def key_of(self, row: Group) -> Hashable:
        """The creation site; tasks without one share a key."""
        return row.site or "unknown"

    def cells(self, index: int, columns: Sequence[Column[Any]]) -> list[Part]:
        """Labels the group without a creation site."""
        cells = super().cells(index, columns)
        if self.rows[index].site is None:
            return [
                ("(older than the probe)", "dim") if column.key == "creation_site" else cell
                for column, cell in zip(columns, cells, strict=True)
            ]
        return cells

    def style(self, row: Group, key: str) -> str:
        """Colours by load and failures."""
        match key:
            case "share":
                return load_style(row.share)
            case "failed":
                return "bad" if row.stats is not None and row.stats.failed else "faint"
            case "births_per_s" | "deaths_per_s":
                return "text" if row.stats is not None and row.stats.births_per_s + row.stats.deaths_per_s else "faint"
            case "creation_site":
                return "strong"
            case _:
                return "text"
