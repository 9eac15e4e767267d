"""What a task stands below in a tree: the task that made it, or where that is not known, one that awaits it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.store.model import Task
    from monitor.store.store import Store


def is_orphan(task: Task) -> bool:
    """Whether it is not known who made a task: it is older than the probe."""
    return task.born_before_attach and not task.parent


def awaiters(store: Store) -> dict[int, int]:
    """Of tasks whose maker is not known a task that awaits each, where that was read. Never in a ring."""
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
            if at in way:  # a deadlock, say: one of its tasks becomes a root
                found.pop(at, None)
                break
            way.add(at)
            at = found.get(at, tasks[at].parent)
        rooted |= way
    return found
