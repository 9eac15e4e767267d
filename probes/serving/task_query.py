"""Selecting tasks for a viewer: the first by a column, and those whose name matches a filter."""

from __future__ import annotations

from heapq import nlargest
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ..base.task_facts import coro_name, task_name
from ..base.turns import turns
from ..base.validation import choice, integer
from ..hooks import install, reading
from ..hooks.records import begin

if TYPE_CHECKING:
    from ..hooks.records import TaskRecord

SORTS = ("busy", "steps", "scheduled", "max_step", "age", "id")


def order(frame: dict[str, Any]) -> tuple[str, int]:
    """The sort column and the limit in a frame. Raises BadRequestError."""
    return choice(frame, "sort", SORTS, "busy"), integer(frame, "limit", 200, 0, 1_000_000)


def first(records: list[TaskRecord], sort: str, limit: int) -> list[TaskRecord]:
    """The first records by a column, descending (oldest first for age)."""
    if sort == "age":
        return nlargest(limit, turns.over(records), key=lambda record: -(record.born or 0.0))
    return nlargest(limit, turns.over(records), key=attrgetter(sort))


def counted() -> list[TaskRecord]:
    """The records that have counts: all but those still being made."""
    everything = list(install.records.values())
    return [record for record in turns.over(everything) if hasattr(record, "steps_reported") or begin(record)]


def named(record: TaskRecord, text: str) -> bool:
    """Whether a text is in the name of a task or of its coroutine, ignoring case."""
    return bool(reading.read(record, _is_named, text.lower()))


def _is_named(task: Any, needle: str) -> bool:
    return needle in task_name(task).lower() or needle in coro_name(task).lower()
