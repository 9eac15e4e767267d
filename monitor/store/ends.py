"""Keeps the newest ended tasks in order. Failed ones are kept apart: successes of a busy server would push them out."""

from __future__ import annotations

from collections import deque
from heapq import merge
from operator import itemgetter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from monitor.store.model import EndedTask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.store.model import Task

MOST_ENDED = 1000
MOST_FAILED = 200

_ORDER = itemgetter(0)


class Ends:
    """The last `MOST_FAILED` tasks that failed and the last `MOST_ENDED` others."""

    __slots__ = ("_by_task", "_failed", "_number", "_others")

    def __init__(self) -> None:
        self._failed: deque[tuple[int, EndedTask]] = deque(maxlen=MOST_FAILED)
        self._others: deque[tuple[int, EndedTask]] = deque(maxlen=MOST_ENDED)
        self._by_task: dict[int, EndedTask] = {}
        self._number = 0

    def append(self, end: EndedTask) -> None:
        """Add the task that ended last."""
        self._number += 1
        kept = self._failed if end.outcome == "failed" else self._others
        if len(kept) == kept.maxlen:
            oldest = kept[0][1]
            if self._by_task.get(oldest.id) is oldest:
                del self._by_task[oldest.id]
        kept.append((self._number, end))
        self._by_task[end.id] = end

    def of(self, task: int) -> EndedTask | None:
        """Return the end of a task that is still kept."""
        return self._by_task.get(task)

    def clear(self) -> None:
        """Remove all ended tasks."""
        self._failed.clear()
        self._others.clear()
        self._by_task.clear()

    def copy(self) -> Ends:
        """Return an independent copy."""
        twin = Ends()
        twin._failed, twin._others, twin._number = self._failed.copy(), self._others.copy(), self._number
        twin._by_task = self._by_task.copy()
        return twin

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ends) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._failed) + len(self._others)

    def __iter__(self) -> Iterator[EndedTask]:
        return (end for _, end in merge(self._failed, self._others, key=_ORDER))

    def __reversed__(self) -> Iterator[EndedTask]:
        newest = merge(reversed(self._failed), reversed(self._others), key=_ORDER, reverse=True)
        return (end for _, end in newest)


def at_its_end(task: Task, end: EndedTask) -> Task:
    """Return a task with the figures of its end; those that the end leaves unknown stay as they were last seen."""
    return replace(
        task,
        label=end.label or task.label,
        steps=task.steps if end.steps is None else end.steps,
        busy=task.busy if end.busy is None else end.busy,
        scheduled=task.scheduled if end.scheduled is None else end.scheduled,
        max_step=task.max_step if end.max_step is None else end.max_step,
    )
