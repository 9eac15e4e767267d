"""The hook of `create_task` in Python, used where that in C is not available: it makes the record of each new task."""

from __future__ import annotations

import sys
from asyncio import format_helpers, tasks
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..base import sites
from ..base.task_facts import is_done, name_of, task_name
from . import groups
from .accounting import (
    _current,
    add_changed,
    adopt,
    current_task_of,
    finish,
    loops,
    record_of,
    records,
    state,
)
from .backend import FREE_THREADED
from .records import NOT_YET, TaskRecord, begin, start_counting

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    AnyTask = asyncio.Task[Any]
    Loop = asyncio.AbstractEventLoop


def hook_plain_create_task(original: Callable[..., AnyTask]) -> Callable[..., AnyTask]:  # noqa: C901
    """A `create_task` that makes the task itself as asyncio does, which saves most of the cost of registering it.

    With a task factory, in debug mode and for a closed loop, asyncio's own is called.
    """
    getframe = sys._getframe
    clock = monotonic
    shared = state
    next_id = state.next_id
    new = TaskRecord
    known = loops
    table = records
    record_at = records.get
    plumbing = sites.plumbing
    user = sites.USER
    by_function = tasks.create_task.__code__
    free_threaded = FREE_THREADED
    not_yet = NOT_YET
    enter_group = groups.enter
    current = _current.get if _current is not None else current_task_of
    not_plain = hook_any_create_task(original, True, 2)

    def create_task(self: Any, coro: Any, *, name: Any = None, context: Any = None, **more: Any) -> AnyTask:
        if self._task_factory is not None or self._debug or self._closed or more:  # 3.13.3 takes any keyword
            return not_plain(self, coro, name=name, context=context, **more)
        born = clock()
        if name is None and context is None:
            task = tasks.Task(coro, loop=self)
        else:
            task = tasks.Task(coro, loop=self, name=name, context=context)
        try:
            record = new(task)
            record.id = next_id()
            record.key = key = id(task)
            record.born = born
            record.eager = record.predates_probe = False
            try:
                record.loop = known[self]
            except KeyError:
                record.loop = shared.on_loop(self)
            creator = current(self)
            if creator is None:
                record.parent = 0
            else:
                parent = record_at(id(creator))
                if parent is not None and parent() is creator:
                    record.parent = parent.id
                else:
                    record.parent = adopt(creator, record.loop).id
            frame: Any = getframe(1)
            code = frame.f_code
            if code is by_function or plumbing[code.co_filename] != user:
                frame = frame.f_back  # of asyncio.create_task, most of the time
                if frame is not None:
                    code = frame.f_code
                    if plumbing[code.co_filename] != user:
                        frame = None
            if frame is None:
                record.code, record.lasti = sites.of(coro, getframe(1))
            else:
                record.code = code
                record.lasti = frame.f_lasti
            if shared.watching:
                # It is queued for the sampler after its first step, or by the sweep within a second.
                record.origin = sites.stack_of(getframe(1), shared.origin_depth) if shared.origin_depth else None
                record.histogram = not_yet
                record.group = record.label = record.seen = record.source = None
                enter_group(record, coro)
                if free_threaded:
                    begin(record)  # now: later the sampler might do it at the same time
                table[key] = record
            else:
                table[key] = record
                if shared.watching:  # another thread has switched counting on in between
                    start_counting(record)
                    enter_group(record, coro)
        except Exception as error:
            shared.on_error("create_task", error)
        return task

    return create_task


def hook_any_create_task(original: Callable[..., AnyTask], native: bool, depth: int) -> Callable[..., AnyTask]:
    """A `create_task` for factories, debug mode and loops of any kind. The caller is `depth` frames up."""
    getframe = sys._getframe

    def create_task(self: Any, coro: Any, **kwargs: Any) -> AnyTask:
        factory = self._task_factory if native else _factory_of(self)
        eager = factory is not None or "eager_start" in kwargs
        nested = _nested(self) if eager else 0.0
        born = monotonic()
        before, state.making = state.making, coro  # the hook of `Task.__init__` in C leaves it to this one
        try:  # one frame, since asyncio keeps the stack in debug mode
            task = original(self, coro, **kwargs)
        finally:
            state.making = before
        try:
            if not _is_task(task):
                return task  # the program's factory made something else: a future, a proxy
            _register(self, task, coro, born, getframe(depth), nested if eager else None)
            if state.watching:
                record = records[id(task)]
                if record.eager and is_done(task):
                    finish(record, task, monotonic())
                    record.name = _name_given(kwargs, getframe(depth)) or task_name(task)
            if native and self._debug and task._source_traceback:  # type: ignore[attr-defined]
                strip_hook_frame(task._source_traceback, getframe(depth))  # type: ignore[attr-defined]
        except Exception as error:
            state.on_error("create_task", error)
        try:
            return task
        finally:
            del task  # the traceback of an eager one that failed leads to this frame

    return create_task


def _name_given(kwargs: dict[str, Any], caller: Any) -> str | None:
    """The name of an eager task that ended before its creator named it, which 3.11 and 3.12 do after creating it."""
    name = kwargs.get("name")
    if name is None and "name" in caller.f_code.co_varnames and sites.plumbing[caller.f_code.co_filename]:
        name = caller.f_locals.get("name")
    return None if name is None else str(name)


def _register(loop: Any, task: AnyTask, coro: Any, born: float, caller: Any, nested: float | None) -> None:
    """Makes the record of a new task. `nested` is not None if the task may be eager: see `_book_eager`."""
    record = TaskRecord(task)
    record.id = state.next_id()
    record.key = id(task)
    record.born = born
    record.eager = record.predates_probe = False
    known = loops.get(loop)
    record.loop = state.on_loop(loop) if known is None else known
    creator = current_task_of(loop)
    # A creator that is an eager task in its first step has no record yet; it keeps the id that it gets here.
    record.parent = 0 if creator is None else adopt(creator, record.loop).id
    record.code, record.lasti = sites.of(coro, caller)
    if state.watching:
        start_counting(record)
        record.counted = None
        if state.origin_depth:
            record.origin = sites.stack_of(caller, state.origin_depth)
    if nested is not None:
        _book_eager(task, coro, record, born, nested)
    records[record.key] = record
    if state.watching and getattr(record, "steps_reported", None) is None:
        start_counting(record)
    if state.watching:
        groups.enter(record, coro)
    if state.watching and record.eager and not is_done(task):
        add_changed(record)


def _is_task(made: Any) -> bool:
    """Whether this is a task: a factory may make something else, such as a future or a proxy."""
    try:
        return hasattr(made, "_fut_waiter")
    except Exception:
        return False


def _factory_of(loop: Any) -> Any:
    try:
        return loop.get_task_factory()
    except Exception:  # a loop of the program's own need not have that method
        return None


def strip_hook_frame(stack: list[Any], caller: Any) -> None:
    """Removes a hook's frame from the creation stack that asyncio keeps in debug mode.

    asyncio keeps the ten innermost frames, so the next frame outwards is added instead.
    """
    for index in range(len(stack) - 1, -1, -1):
        if sites.is_hook(stack[index].filename) and stack[index].name in ("create_task", "call_soon"):
            if caller is None:
                del stack[index]
            else:
                stack[: index + 1] = format_helpers.extract_stack(caller, index + 1)
            return


def _nested(loop: Loop) -> float:
    record = loops.get(loop)
    return 0.0 if record is None else record.nested


def _book_eager(task: AnyTask, coro: Any, record: TaskRecord, born: float, nested: float) -> None:
    """Accounts the first step of an eager task, which ran inside its creator's step.

    `nested` is the time that eager tasks had taken of the creator's step before; any more was taken by this task's
    children. The factory may be any, so whether the task has begun is read from the coroutine.
    """
    record.eager = is_done(task) or getattr(coro, "cr_suspended", False) or getattr(coro, "gi_suspended", False)
    if not record.eager:
        return
    if is_done(task):
        record.coro = name_of(coro)  # a finished eager task has no reference to its coroutine
    twin = record_of(task)
    if twin is not None:
        record.id = twin.id
    loop = record.loop
    if state.watching and loop is not None:
        elapsed = monotonic() - born
        record.steps = 1
        record.busy = record.max_step = max(elapsed - (loop.nested - nested), 0.0)
        loop.nested = nested + elapsed
