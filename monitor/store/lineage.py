"""Finds a task's parent in the tree: the task that made it or, if unknown, one that awaits it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.store.model import Task
    from monitor.store.store import Store


def is_orphan(task: Task) -> bool:
    """Whether the maker of a task is unknown because it is older than the probe."""
    return task.born_before_attach and not task.parent


def awaiters(store: Store) -> dict[int, int]:
    """Map tasks with unknown makers to a task that awaits them, as far as that was read. Contains no cycles."""
    tasks = store.tasks
    found: dict[int, int] = {}
    for detail in store.details.values():
        task = tasks.get(detail.id)
        if task is not None and is_orphan(task):
            awaiter = next((number for number in detail.awaited_by if number in tasks and number != task.id), 0)
            if awaiter:
                found[task.id] = awaiter
    rooted: set[int] = set()  # known to lead to a root
    for number in list(found):
        way: set[int] = set()
        at = number
        while at in tasks and at not in rooted:
            if at in way:  # a cycle, as in a deadlock: one of its tasks becomes a root
                found.pop(at, None)
                break
            way.add(at)
            at = found.get(at, tasks[at].parent)
        rooted |= way
    return found
