"""Looks up group, label and creation site of sampled tasks, including those that have ended since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.task_facts import coro_name
from ..hooks import reading
from ..hooks.groups import groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..base.sites import Tables
    from ..hooks.records import TaskRecord
    from .jobs import Asker


class Askers:
    """Used by the probe's thread."""

    def __init__(self, tables: Tables, find: Callable[[int], TaskRecord | None]) -> None:
        """`find`: the record of a live task by its id."""
        self._tables = tables
        self._find = find
        self._ended: dict[int, TaskRecord] = {}

    def ended(self, records: Iterable[TaskRecord]) -> None:
        """Adds the tasks that ended since the previous look; they can be found until the next."""
        self._ended = {record.id: record for record in records if record.group is not None and record.group.label}

    def of(self, record: TaskRecord) -> Asker:
        """Group, label and creation site of a task with a record."""
        group = record.group
        name = group.coro if group is not None else reading.read(record, coro_name) or ""
        site = self._tables.site_at(record.code, record.lasti)
        return record.id, self._tables.string(name), self._label(record), site

    def _label(self, record: TaskRecord) -> int:
        group = record.group
        text = groups.label_of(record) if group is not None and not record.outcome else None
        label = (
            groups.of(group, text).label if group is not None and text is not None else getattr(group, "label", None)
        )
        return 0 if label is None else self._tables.string(label)

    def sampled(self, task: int, number: int, outermost: str, site: int) -> Asker:
        """The same for a task as the sampler read it: number of its group (0: unknown), outermost function and creation
        site.
        """
        group = groups.by_number.get(number)
        name = outermost if group is None else group.coro
        record = self._ended.get(task) or self._find(task)
        if record is not None:
            label = self._label(record)
        else:
            label = 0 if group is None or group.label is None else self._tables.string(group.label)
        return task, self._tables.string(name) if name else 0, label, site
