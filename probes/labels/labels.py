"""Determines the label of a task: the one given by `probes.label`, else the one an adapter reads.

An adapter is a module. `matches(coro)` tells whether it handles tasks of a coroutine's code; `source(coro)` returns, at
the birth of such a task, the object to read the label from; `read(source)` reads the label, at the end of the task at
the latest. Optional are:

* `status(task, source)`, the status of the response to a request;
* `hooks(coro, fail)`, what must be replaced to know the status where a server keeps it nowhere;
* `plan(coro)`, which tells the hooks in C how to find label and status without calling Python (GroupCounts.plan of
  hooks/native/group.c): the type of the held object, whether it is held weakly, the path from it to the source, the
  paths from the source to what determines the label, how many of these are the route, and the path from the task's
  result to the status, or a dictionary that has it by the address of the task or of the source; and if there is such a
  thing, the path from the source to an object that may decide the label alone;
* `decides(source)`, that object, where it does;
* `outer(source)`, the record of another task that the request counts with, so that it is counted once: it gets the
  label and the status. None: the request counts with this task.

An adapter that raises is switched off and reported.
"""

from __future__ import annotations

from asyncio import current_task
from typing import TYPE_CHECKING, Any

from ..base.settings import text_of, warn
from ..base.task_facts import coro_of, task_name
from ..hooks import accounting, reading
from ..hooks.groups import groups
from . import (
    aiohttp_web,
    amqp,
    arq_jobs,
    asgi,
    context_variable,
    django,
    grpc_aio,
    opentelemetry,
    taskiq_jobs,
)
from .held import LATER, NAME_OF_TASK
from .paths import MOST_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from ..hooks.groups import GroupCounts
    from ..hooks.records import TaskRecord
    from ..hooks.registry import Registry

    # For typing only: a Protocol class is held by typing's own caches, so the probe could not take itself apart.
    class Adapter(Protocol):
        """What reads the labels of one library's tasks. See above: some of these are optional."""

        NAME: str

        def matches(self, coro: Any, /) -> bool:
            """Whether tasks of its code are known."""

        def source(self, coro: Any, /) -> Any:
            """The object that the label of a task is read from; None if there is none."""

        def read(self, source: Any, /) -> str | None:
            """The label; None if unknown."""


ADAPTERS: tuple[Adapter, ...] = (aiohttp_web, asgi, django, grpc_aio, arq_jobs, taskiq_jobs, amqp)


class Labels:
    """Reads labels, in whichever thread asks."""

    def __init__(self, notice: Callable[[str], None], registry: Registry, path: str = "") -> None:
        self._notice = notice
        self._registry = registry
        self._on = {adapter.NAME: adapter for adapter in ADAPTERS}
        self._path = path
        self._spans = False
        self.used = False
        """Whether any task has had a label, or a source of one."""

    def install(self) -> None:
        """Makes the groups read labels here."""
        groups.on_made, groups.source_of, groups.label_of = self.made, self.source_of, self.of
        groups.status_of, groups.decided_by = self.status_of, self.decided_by
        groups.hands_on = self.hands_on
        if self._path and not context_variable.is_path(self._path):
            text = f"label={self._path!r} is not MODULE:VARIABLE; no labels are read from it"
            warn(text)
            self._notice(text)
            self._path = ""
        self.look()

    def look(self) -> None:
        """Looks up the context variable of the setting `label` until its module is loaded. Called once a second."""
        if groups.variable is not None:
            return
        try:
            variable = context_variable.find(self._path) if self._path else opentelemetry.find()
            if variable is not None:
                self._spans = not self._path
                groups.watch_variable(variable, self._see_span if self._spans else self._see_text)
                self.used = True
        except Exception as error:
            self._stop_variable(error)

    def _stop_variable(self, error: Exception) -> None:
        name = self._path or opentelemetry.NAME
        self._path = "" if self._path else self._path
        groups.watch_variable(None, None)
        self.look = lambda: None  # type: ignore[method-assign]
        self._notice(f"labels of {name} are off: {text_of(error)}")

    def made(self, group: GroupCounts, coro: Any) -> None:
        """Finds the adapter for the tasks of a new group."""
        for name, adapter in list(self._on.items()):
            try:
                if adapter.matches(coro):
                    group.adapter = name
                    self.used = True
                    plan = adapter.plan(coro) if hasattr(adapter, "plan") else None
                    if plan is not None:
                        group.plan(*plan)
                    for hook in adapter.hooks(coro, self._registry.fail) if hasattr(adapter, "hooks") else ():
                        self._registry.add(hook)
                    return
            except Exception as error:
                self._switch_off(name, error)

    def source_of(self, group: GroupCounts, coro: Any) -> Any:
        """The source of a new task's label."""
        name = group.adapter
        try:
            source = self._on[name].source(coro)  # type: ignore[index]
        except Exception as error:
            if name in self._on:
                self._switch_off(str(name), error)
            group.adapter = None
            return None
        if source is LATER and groups.on_later is None:
            groups.watch_later(LATER, self._look_again)
        return source

    def _look_again(self, record: TaskRecord) -> None:
        """After a step of a task whose label is not known yet."""
        task = record()
        if task is not None and record.group is not None and not task.done():
            record.source = self.source_of(record.group, coro_of(task))

    def _see_text(self, record: TaskRecord, value: Any) -> None:
        """After a step in which the program's context variable was set."""
        try:
            text = context_variable.text(value)
        except Exception as error:
            self._stop_variable(error)
            return
        if text is not None:
            record.label = text[:MOST_LABEL]

    def _see_span(self, record: TaskRecord, context: Any) -> None:
        """After a step in which the current span changed."""
        group = record.group
        if record.source is not None or record.label is not None or group is None or group.adapter is not None:
            return
        try:
            span = opentelemetry.span(context)
        except Exception as error:
            self._stop_variable(error)
            return
        if span is not None:
            record.source = span

    def of(self, record: TaskRecord) -> str | None:
        """The label of a task, as far as it is known."""
        if record.label is not None:
            return record.label
        source, group = record.source, record.group
        if source is None or source is LATER or group is None:
            return None
        adapter: Any = self._on.get(group.adapter) if group.adapter is not None else opentelemetry
        if adapter is None:
            return None
        try:
            if source is NAME_OF_TASK:
                source = reading.read(record, task_name)
                if source is None:
                    return None
            text = adapter.read(source)
        except Exception as error:
            if adapter is opentelemetry:
                self._stop_variable(error)
            else:
                self._switch_off(adapter.NAME, error)
            return None
        return None if text is None else str(text)[:MOST_LABEL]

    def counted_with(self, record: TaskRecord) -> TaskRecord | None:
        """The record of the task that a request counts with, if that is not its own."""
        return None if record.group is None else self._outer(record.group, record.source)

    def _outer(self, group: GroupCounts, source: Any) -> TaskRecord | None:
        find = getattr(self._on.get(str(group.adapter)), "outer", None)
        found: TaskRecord | None = None if find is None or source is None else find(source)
        return found

    def hands_on(self, group: GroupCounts, source: Any, label: str) -> bool:
        """Whether a task with this source counts without its label, which another task gets instead."""
        outer = self._outer(group, source)
        if outer is None:
            return False
        if outer.label is None and not outer.outcome:
            outer.label = label
        return True

    def decided_by(self, group: GroupCounts, source: Any) -> Any:
        """The object that decides alone which label a source has; None if there is none."""
        adapter: Any = self._on.get(str(group.adapter))
        decides = getattr(adapter, "decides", None)
        try:
            return None if decides is None else decides(source)
        except Exception as error:
            self._switch_off(adapter.NAME, error)
            return None

    def status_of(self, record: TaskRecord, source: Any) -> int | None:
        """The status of the response to a request that has ended; None if unknown."""
        group = record.group
        adapter: Any = None if group is None else self._on.get(str(group.adapter))
        read = getattr(adapter, "status", None)
        if read is None:
            return None
        try:
            status = read(record(), source)
        except Exception as error:
            self._switch_off(adapter.NAME, error)
            return None
        if type(status) is not int or status <= 0:
            return None
        outer = self._outer(group, source) if group is not None else None
        if outer is None:
            return status
        if not outer.outcome:
            asgi.answered(outer, status)
        return None

    def name_current(self, text: str) -> None:
        """Labels the current task. Never raises."""
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
