"""The live tasks by id, with children, counts and shares kept up to date as they change."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from monitor.protocol.rows import SECOND, seconds_or_none
from monitor.store.model import Task
from monitor.store.task_counts import TaskCounts
from probes.base import protocol

if TYPE_CHECKING:
    from collections import Counter

    from monitor.protocol.rows import TaskRow, TaskStaticRow, WaitRow
    from monitor.store.model import Site
    from monitor.store.tables import Tables

MOST = 500_000
"""Limit of live tasks; more are only counted."""

MOST_LETTERS = 96 << 20
"""Limit of characters in all names and waits. Beyond it names are cut to `SHORT`, and texts of waits dropped."""
SHORT = 32

_FIELDS = attrgetter(*Task.__struct_fields__)


class Tasks(dict[int, Task]):
    """Written by the store only. `now`: Unix time by the clock of the watched program."""

    def __init__(self) -> None:
        super().__init__()
        self.share_over = 1.0  # seconds; over a single tick the share would jump
        self.left_out = 0  # tasks beyond the limit
        self._letters = 0
        self._children: dict[int, set[int]] = {}
        self._sharing: set[int] = set()  # tasks whose `share` is, or is about to be, above 0
        self._counts = TaskCounts()
        self._borrowed: set[int] = set()  # tasks shared with a frozen copy: copied before writing

    def frozen(self) -> Tasks:
        """Return an independent copy."""
        twin = Tasks()
        twin.update(self)
        self._borrowed = set(self)  # copying 100,000 takes half a second, and few change
        twin.share_over, twin.left_out, twin._letters = self.share_over, self.left_out, self._letters
        twin._children = {parent: set(children) for parent, children in self._children.items()}
        twin._sharing, twin._counts = set(self._sharing), self._counts.copy()
        return twin

    # Reading

    def states(self) -> Counter[str]:
        """Return the number of tasks by state."""
        return self._counts.states()

    def sites(self) -> Counter[Site | None]:
        """Return the number of tasks by creation site."""
        return self._counts.sites()

    def busiest(self, least: float) -> list[Task]:
        """Return the tasks with at least that share of the last second, in no order."""
        tasks = map(self.get, self._sharing)
        return [task for task in tasks if task is not None and task.share >= least]

    def children(self, task_id: int) -> list[int]:
        """Return the ids of a task's live children in order of birth (0: tasks without a parent)."""
        return sorted(self._children.get(task_id, ()))

    def has_children(self, task_id: int) -> bool:
        """Whether a task has live children."""
        return bool(self._children.get(task_id))

    # Applying frames

    def add(self, task: Task) -> None:
        """Add a task, replacing one with the same id."""
        old = self.get(task.id)
        if old is not None:
            self._counts.left(old)
            self._borrowed.discard(task.id)
            self._letters -= _letters(old)
            if old.parent != task.parent:
                self._children.get(old.parent, set()).discard(task.id)
        elif len(self) >= MOST:
            self.left_out += 1
            return
        self[task.id] = task
        self._letters += _letters(task)
        if self._letters > MOST_LETTERS:
            self._letters -= _letters(task)
            task.name, task.wait_text = task.name[:SHORT], None
            self._letters += _letters(task)
        self._counts.came(task)
        self._children.setdefault(task.parent, set()).add(task.id)
        if task.share or task.busy > task.measured_busy:
            self._sharing.add(task.id)

    def clear(self) -> None:
        """Remove all tasks and counts, as for a new session."""
        super().clear()
        self._letters = 0
        self._children.clear()
        self._sharing.clear()
        self._borrowed.clear()
        self._counts = TaskCounts()

    def forget(self, task_id: int) -> None:
        """Remove a task if it is known."""
        task = self.pop(task_id, None)
        if task is None:
            return
        self._letters -= _letters(task)
        self._counts.left(task)
        self._borrowed.discard(task_id)
        siblings = self._children.get(task.parent)
        if siblings is not None:
            siblings.discard(task_id)
            if not siblings:
                del self._children[task.parent]

    def end(self, row: TaskRow) -> None:
        """Remove a task that has ended. Views that still show it get the figures of its last row."""
        task, borrowed = self.get(row.id), row.id in self._borrowed
        self.forget(row.id)
        if task is not None and not borrowed:
            state = task.state
            task.take_row(row)
            task.state = state

    def apply_facts(self, row: TaskStaticRow, tables: Tables, now: float) -> None:
        """Apply the facts that do not change, except the name."""
        facts: dict[str, Any] = {
            "name": row.name,
            "coro": tables.string(row.coro),
            "loop": row.loop,
            "born": seconds_or_none(row.born),
            "counted": seconds_or_none(row.counted),
            "parent": row.parent,
            "site": tables.site(row.site),
            "born_before_attach": bool(row.flags & protocol.BORN_BEFORE_ATTACH),
            "eager": bool(row.flags & protocol.EAGER),
        }
        old = self.get(row.id)
        if old is None:
            task = Task(row.id, **facts, seen=now, since=now)
        else:
            task = replace(old, **facts, version=old.version + 1)
        self.add(task)

    def apply_row(self, row: TaskRow, now: float, tables: Tables) -> None:
        """Apply the changed figures of a live task."""
        task = self.get(row.id)
        if task is None:
            return
        if row.id in self._borrowed:
            task = self._own(task)
        changed = row.state != task.state or row.steps != task.steps
        if row.state != task.state:
            self._counts.changed(task.state, row.state)
        seconds = row.busy * SECOND
        if not task.measured:
            # The figures in the first row of an older task are from an unknown time.
            begin = max(task.born or 0.0, task.counted or 0.0)
            fresh = now - begin < self.share_over
            task.measured, task.measured_busy = (begin, 0.0) if fresh else (now, seconds)
            changed = changed and fresh
        if changed:
            task.since = now
        if seconds > task.measured_busy:
            self._sharing.add(row.id)
        task.take_row(row)
        task.label = tables.string(row.label) if row.label else None
        task.version += 1

    def apply_wait(self, row: WaitRow, tables: Tables) -> None:
        """Apply a task's wait."""
        task, site = self.get(row.id), tables.site(row.at)
        if task is None or (task.wait_kind, task.wait_text, task.at) == (row.kind, row.text, site):
            return
        if row.id in self._borrowed:
            task = self._own(task)
        self._letters -= _letters(task)
        task.take_wait(row, site)
        self._letters += _letters(task)
        if self._letters > MOST_LETTERS:
            self._letters -= len(task.wait_text or "")
            task.wait_text = None
        task.version += 1

    def measure(self, now: float) -> None:
        """Compute the share of each task over at least `share_over` seconds."""
        for task_id in list(self._sharing):
            task = self.get(task_id)
            if task is None:
                self._sharing.discard(task_id)
            elif now - task.measured >= self.share_over:
                share = min(max(task.busy - task.measured_busy, 0.0) / (now - task.measured), 1.0)
                if share == 0.0:
                    self._sharing.discard(task_id)
                if task_id in self._borrowed:
                    task = self._own(task)
                if share != task.share:
                    task.share = share
                    task.version += 1
                task.measured, task.measured_busy = now, task.busy

    def _own(self, task: Task) -> Task:
        """Return a task that may be written to, copied if a frozen copy shares it."""
        self._borrowed.discard(task.id)
        mine = self[task.id] = Task(*_FIELDS(task))
        return mine


def _letters(task: Task) -> int:
    return len(task.name) + len(task.wait_text or "")
