"""The Tasks screen: a list, a tree by parent, or groups by creation site."""

from __future__ import annotations

import os
from itertools import islice
from typing import Any, ClassVar

from monitor import formatting as fmt
from monitor.errors import UsageError
from monitor.store import query
from monitor.store.groups import Group
from monitor.store.lineage import is_orphan
from monitor.store.model import Site
from monitor.tui.base.keys import bindings
from monitor.tui.base.paint import Part
from monitor.tui.rows.base import Rows
from monitor.tui.rows.tasks import GroupRows, TaskRows, TreeRows
from monitor.tui.screens.table import TableScreen
from monitor.tui.widgets.banner import status_text
from monitor.tui.widgets.filter_bar import FilterInput
from monitor.tui.widgets.live_table import LiveTable

VIEWS = ("flat", "tree", "groups")
TITLES = {"flat": "flat", "tree": "tree", "groups": "by creation site"}
NEXT = {"flat": "Tree", "tree": "Groups", "groups": "Flat"}
MOST_WINDOW = 200
ASK_EVERY = 5.0
"""Seconds between two requests for the awaiters of tasks older than the probe."""
MOST_ASKED = 1_000
"""Most tasks in one request: each takes the program about 0.05 ms."""
WORKERS_EVERY = 3.0
"""Seconds between two searches for child processes."""
FIELDS = frozenset((*query.TEXT_KEYS, *query.NUMBER_KEYS))


class TasksScreen(TableScreen):
    """The live tasks, as a list, a tree or groups."""

    MODE = "tasks"
    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "table", "tasks")
    BINDINGS: ClassVar[list[Any]] = bindings("tasks")
    PLACEHOLDER = "state:waiting busy>0.5 name:worker-*   any word   -word: without it"

    def first_rows(self) -> Rows[Any]:
        """Start with the flat list."""
        store = self.looptop.store
        self.flat_rows, self.tree_rows, self.group_rows = TaskRows(store), TreeRows(store), GroupRows(store)
        self.view_name = "flat"
        self._predicate: query.Predicate | None = None
        self._error = ""
        self._asked_at = float("-inf")
        self._workers_looked, self._workers_text = float("-inf"), ""
        return self.flat_rows

    def apply_filter(self, text: str) -> None:
        """Applies a filter; an invalid one keeps the last valid one."""
        self._error = ""
        words = text.split()
        if words and words[-1] in FIELDS and not text.endswith(" ") and isinstance(self.focused, FilterInput):
            text = " ".join(words[:-1])  # the name of a field is being typed: no task has it as its own
        try:
            self._predicate = query.parse(text) if text.strip() else None
        except UsageError as error:
            self._error = f"{error.message} ({error.hint})"
        self.flat_rows.predicate = self.tree_rows.predicate = self.group_rows.predicate = self._predicate

    def show_match_count(self, error: str = "") -> None:
        """How many tasks match; with an invalid filter, how many matched the last valid one."""
        error = error or self._error
        if self.view_name == "groups":
            found = fmt.several(len(self.rows), "group")
        else:
            found = f"{len(self.rows)} of {len(self.store.tasks)}"
        self.filter_bar.say(f"last good filter: {found}" if error else found, error)

    def empty_text(self) -> str:
        """Explains why the table is empty."""
        store = self.store
        if store.session is None:
            return f"No program yet.\n{status_text(self.looptop.source.status)}"
        if store.left:
            return f"Loading {fmt.several(store.left, 'task')} …"
        if store.tasks and (self._predicate is not None or self.flat_rows.site is not None):
            return f"None of {fmt.several(len(store.tasks), 'task')} matches the filter.\nEsc clears it."
        workers = "" if store.loops else self._workers()
        self.table.opens_empty = bool(workers) and self.looptop.shows_workers
        if workers:
            return f"{workers}\nEnter shows all of them." if self.looptop.shows_workers else workers
        if not store.loops:
            return "No event loop yet.\nTasks appear when the program starts one (asyncio.run)."
        return "No live tasks.\nThe loop is running, but has no tasks now.\nEnded tasks are on screen 3."

    def _workers(self) -> str:
        """Describes child processes that have event loops. Looks every few seconds, since it reads /proc."""
        app, session = self.looptop, self.store.session
        if session is None or app.loops_below is None or session.host != os.uname().nodename:
            return ""
        if app.clock() - self._workers_looked >= WORKERS_EVERY:
            self._workers_looked = app.clock()
            self._workers_text = app.loops_below(session.pid)
        return self._workers_text

    def about(self) -> tuple[Part, ...]:
        """The view, the creation site and the order."""
        title = "tree of awaiters" if self.view_name == "tree" and self.tree_rows.awaiters else TITLES[self.view_name]
        parts: list[Part] = [(title, "text"), ("  ", "text")]
        if self.flat_rows.site is not None and self.view_name != "groups":
            site = self.flat_rows.site[0]
            where = "older than the probe" if site is None else f"{site.file.rpartition('/')[2]}:{site.line}"
            parts = [(f" {where} ", "chip"), (" ", "text")]
        return (*parts, *super().about())

    def label(self, key_id: str, label: str) -> str:
        """Labels `t` with the next view."""
        return NEXT[self.view_name] if key_id == "view" else super().label(key_id, label)

    def wants(self) -> dict[str, Any]:
        """Requests what the visible tasks wait on."""
        if self.view_name == "groups":
            return {"window": [], "detail": None}
        return {"window": self.table.keys_in_sight()[:MOST_WINDOW], "detail": None}

    def rearrange(self) -> None:
        """In the tree, also requests the awaiters of tasks whose parents are unknown."""
        now = self.looptop.clock()
        if self.view_name == "tree" and now - self._asked_at >= ASK_EVERY and not self.looptop.paused:
            self._asked_at = now
            orphans = [task.id for task in islice(filter(is_orphan, self.store.tasks.values()), MOST_ASKED)]
            if orphans:
                self.looptop.source.request("tasks", ids=orphans, limit=len(orphans))
        super().rearrange()

    # Actions

    def show_view(self, name: str, site: tuple[Site | None] | None = None) -> None:
        """Switches the view, or shows the tasks of one creation site."""
        self.view_name = name
        self.flat_rows.site = self.tree_rows.site = site
        by_name: dict[str, Rows[Any]] = {"flat": self.flat_rows, "tree": self.tree_rows, "groups": self.group_rows}
        self.rows = by_name[name]
        self.table.show(self.rows)
        self.rearrange()
        self.update_view()

    def action_next_view(self) -> None:
        """Switches between list, tree and groups."""
        self.show_view(VIEWS[(VIEWS.index(self.view_name) + 1) % len(VIEWS)])

    @property
    def can_go_back(self) -> bool:
        """Also true for the tasks of one creation site."""
        return self.flat_rows.site is not None or super().can_go_back

    def action_back(self) -> None:
        """Clears the filter first, then returns to the groups."""
        if self.flat_rows.site is not None and not self.filter_bar.has_class("-shown"):
            self.show_view("groups")
        else:
            super().action_back()

    def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """Opens a task, or the tasks of a group."""
        if self.view_name == "groups":
            place = self.group_rows.index(message.key)
            if place is not None:
                group: Group = self.group_rows.rows[place]
                self.show_view("flat", (group.site,))
        elif message.key is None and self.table.opens_empty:
            self.looptop.open_workers()
        elif isinstance(message.key, int):
            from monitor.tui.screens.task import TaskScreen

            self.app.push_screen(TaskScreen(message.key))

    def action_fold(self, folded: bool) -> None:
        """Hides or shows the children of the selected task."""
        task_id = self.table.current
        if self.view_name == "tree" and isinstance(task_id, int) and self.tree_rows.fold(task_id, folded):
            self.table.cursor_key = task_id
            self.rearrange()
            self.update_view()

    def action_sideways(self, step: int) -> None:
        """Folds and unfolds in the tree; left on a folded task goes to its parent."""
        if self.view_name != "tree":
            super().action_sideways(step)
            return
        task_id = self.table.current
        task = self.store.tasks.get(task_id) if isinstance(task_id, int) else None
        if task is None:
            return
        above = self.tree_rows.above(task)
        foldable = self.tree_rows.has_below(task.id) and task.id not in self.tree_rows.folded
        if step < 0 and not foldable and self.tree_rows.index(above) is not None:
            self.table.go_to(above)
        else:
            self.action_fold(step < 0)

    def action_why(self) -> None:
        """Explains why the selected task was late."""
        task_id = self.table.current
        if self.view_name != "groups" and isinstance(task_id, int):
            self.looptop.open_why(task_id)

    def action_cancel(self) -> None:
        """Cancels the selected task after a confirmation."""
        task_id = self.table.current
        if self.view_name != "groups" and isinstance(task_id, int):
            self.looptop.control.cancel(task_id)
