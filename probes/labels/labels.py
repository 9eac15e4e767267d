"""Which label a task has: what it was given by `probes.label`, else what an adapter reads.

An adapter is a module: `matches(code)` says whether it knows tasks of a coroutine, `source(coro)` finds at the birth
of such a task what its label is read from, and `read(source)` reads it, at the end of the task at the latest. One that
raises is switched off and reported.
"""

from __future__ import annotations

from asyncio import current_task
from typing import TYPE_CHECKING, Any

from ..base.settings import text_of
from ..hooks import accounting
from ..hooks.groups import groups
from . import aiohttp_web, asgi

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Protocol

    from ..hooks.groups import GroupCounts
    from ..hooks.records import TaskRecord

    # For typing only: a Protocol class is held by typing's own caches, so the probe could not take itself apart.
    class Adapter(Protocol):
        """What reads the labels of one library's tasks."""

        NAME: str

        def matches(self, code: CodeType, /) -> bool:
            """Whether tasks of this code are known."""

        def source(self, coro: Any, /) -> Any:
            """What the label of a task is read from; None: nothing."""

        def read(self, source: Any, /) -> str | None:
            """The label; None: not known."""


MOST_LABEL = 200


ADAPTERS: tuple[Adapter, ...] = (aiohttp_web, asgi)


class Labels:
    """Reads labels, in whichever thread asks."""

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._on = {adapter.NAME: adapter for adapter in ADAPTERS}
        self.used = False
        """Whether any task has or had a label, or what one is read from."""

    def install(self) -> None:
        """Has the groups ask here."""
        groups.on_made, groups.source_of, groups.label_of = self.made, self.source_of, self.of

    def made(self, group: GroupCounts, coro: Any) -> None:
        """Finds the adapter that knows the tasks of a new group."""
        code = getattr(coro, "cr_code", None)
        if code is None:
            return
        for name, adapter in list(self._on.items()):
            try:
                if adapter.matches(code):
                    group.adapter = name
                    self.used = True
                    return
            except Exception as error:
                self._switch_off(name, error)

    def source_of(self, group: GroupCounts, coro: Any) -> Any:
        """What the label of a new task is read from."""
        name = group.adapter
        try:
            return self._on[name].source(coro)  # type: ignore[index]
        except Exception as error:
            if name in self._on:
                self._switch_off(str(name), error)
            group.adapter = None
        return None

    def of(self, record: TaskRecord) -> str | None:
        """The label of a task as far as it is known now."""
        if record.label is not None:
            return record.label
        source, group = record.source, record.group
        if source is None or group is None or group.adapter is None:
            return None
        adapter = self._on.get(group.adapter)
        if adapter is None:
            return None
        try:
            text = adapter.read(source)
        except Exception as error:
            self._switch_off(group.adapter, error)
            return None
        return None if text is None else str(text)[:MOST_LABEL]

    def name_current(self, text: str) -> None:
        """Gives the task that calls it a label. Never raises."""
        try:
            task = current_task()
            record = accounting.record_of(task)
            if task is not None and record is None:
                record = accounting.adopt(task, accounting.loops.get(task.get_loop()))
            if record is not None:
                record.label = str(text)[:MOST_LABEL]
                self.used = True
        except Exception:
            return

    def _switch_off(self, name: str, error: Exception) -> None:
        if self._on.pop(name, None) is not None:
            self._notice(f"labels of {name} are off: {text_of(error)}")
