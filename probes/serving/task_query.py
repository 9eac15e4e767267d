"""Which tasks a viewer is told of first, and which at all: by a column, and by their name."""

from __future__ import annotations

from heapq import nlargest
from typing import TYPE_CHECKING, Any

from ..base.validation import choice, integer
from ..hooks import install
from ..hooks.records import begin, coro_name, task_name

if TYPE_CHECKING:
    from ..hooks.records import TaskRecord

SORTS = ("busy", "steps", "scheduled", "max_step", "age", "id")


def order(frame: dict[str, Any]) -> tuple[str, int]:
    """The column to sort by and the number of tasks that a frame asks for. Raises BadRequestError."""
    return choice(frame, "sort", SORTS, "busy"), integer(frame, "limit", 200, 0, 1_000_000)


def first(records: list[TaskRecord], sort: str, limit: int) -> list[TaskRecord]:
    """The first records by a column, descending (oldest first for age)."""
    if sort == "age":
        return nlargest(limit, records, key=lambda record: -(record.born or 0.0))
    return nlargest(limit, records, key=lambda record: getattr(record, sort))


def counted() -> list[TaskRecord]:
    """The records that have figures: all but one that is being born in this moment."""
    return [record for record in list(install.records.values()) if hasattr(record, "steps_reported") or begin(record)]


def named(record: TaskRecord, text: str) -> bool:
    """Whether a text is in the name of a task or of its coroutine, in whatever case."""
    task = record()
    needle = text.lower()
    return task is not None and (needle in task_name(task).lower() or needle in coro_name(task).lower())
