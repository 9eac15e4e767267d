"""Selecting tasks for a viewer: the first by a column, and those whose name matches a filter."""

from __future__ import annotations

from heapq import merge, nlargest
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ..base.task_facts import coro_name, task_name
from ..base.turns import turns
from ..base.validation import choice, integer
from ..hooks import install, reading
from ..hooks.records import begin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..hooks.records import TaskRecord

SORTS = ("busy", "steps", "scheduled", "max_step", "age", "id")
_SORTED = 1000
"""Records that are sorted at once, which nothing interrupts; sorted pieces are merged one by one."""


def order(frame: dict[str, Any]) -> tuple[str, int]:
    """The sort column and the limit in a frame. Raises BadRequestError."""
    return choice(frame, "sort", SORTS, "busy"), integer(frame, "limit", 200, 0, 1_000_000)


def first(records: Iterable[TaskRecord], sort: str, limit: int) -> list[TaskRecord]:
    """The first records by a column, descending (oldest first for age). Uses all of them up."""
    key: Callable[[TaskRecord], float] = _age if sort == "age" else attrgetter(sort)
    left = turns.over(records)
    if limit <= _SORTED:
        found = nlargest(limit, left, key=key)
        for _ in left:  # with a limit of 0 it takes none
            pass
        return found
    pieces = []
    while piece := list(islice(left, _SORTED)):
        piece.sort(key=key, reverse=True)
        pieces.append(piece)
    return list(islice(turns.over(merge(*pieces, key=key, reverse=True)), limit))


def _age(record: TaskRecord) -> float:
    return -(record.born or 0.0)


def counted() -> Iterator[TaskRecord]:
    """The records that have counts: all but those still being made."""
    return (record for record in install.walk(install.records) if hasattr(record, "steps_reported") or begin(record))


def named(record: TaskRecord, text: str) -> bool:
    """Whether a text is in the name of a task or of its coroutine, ignoring case."""
    return bool(reading.read(record, _is_named, text.lower()))


def _is_named(task: Any, needle: str) -> bool:
    return needle in task_name(task).lower() or needle in coro_name(task).lower()
