"""What runs per task and per step inside somebody's program. Every line here is paid for by the app.

The hooks replace methods of loop classes, never what a program sees of its own: no task factory is set, no
coroutine is wrapped, no done-callback is added. `create_task` is always in; `run` and `call_soon` only while
somebody watches (rule 2 of the design). What is booked here is turned into rows elsewhere, in another thread.

Measured (`python -m benchmarks`): a `call_soon` that builds its handle in one Python call instead of four pays
for most of the accounting, so the time that a task waits for its turn comes free.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import base_events, events, format_helpers, tasks
from collections import deque
from contextvars import Context, copy_context
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any

from . import sites, wire
from .records import Failure, LoopRecord, SiteCounts, TaskRecord, coro_name, name_of, start_counting

if TYPE_CHECKING:
    from collections.abc import Callable

    AnyTask = asyncio.Task[Any]
    Loop = asyncio.AbstractEventLoop

MOST_CHANGED = 200_000
"""Records that may wait for the sampler; a birth or an end beyond that is dropped and counted."""


records: dict[int, TaskRecord] = {}
"""By `id(task)`. An entry outlives its task until the address is used again or the sampler prunes it: a callback at
the death of each task would cost more than the question, which readers ask, whether the record is of this one. The
step hook does not ask: while somebody watches, ends are booked and the sampler drops what was collected."""
loops: dict[Loop, LoopRecord] = {}
"""The loops that run now."""
changed: deque[TaskRecord] = deque(maxlen=MOST_CHANGED)
"""Born, stepped or ended since the sampler looked."""

watching = False
slow_threshold = 0.1
origin_depth = 0

MOST_NAMED = 500
"""Ended tasks that are told by name in one look of the sampler, beside those that failed."""
named = 0

short_lives: dict[tuple[int, int], SiteCounts] = {}
"""Counts of the creation sites that the sampler knows, by `id(code)` and instruction."""

next_id = count(1).__next__


def _unset(*_: Any) -> Any:
    raise RuntimeError("no probe is installed")


on_loop: Callable[[Loop], LoopRecord] = _unset
"""Called for a loop that is not in `loops` yet."""
on_slow: Callable[[LoopRecord, Any, TaskRecord | None, float, float], None] = _unset
"""Called with loop, callback, record, start and duration (s) of a callback beyond the threshold."""
on_error: Callable[[str, Exception], None] = _unset
"""Called when a hook raised: it switches the hook off and tells the viewers."""

_STEP_NAMES = frozenset({"task_wakeup", "TaskWakeupMethWrapper", "__step", "__wakeup"})
_current: Any = getattr(tasks, "_current_tasks", None) if sys.version_info < (3, 14) else None


def current_task_of(loop: Loop) -> AnyTask | None:
    """The task that runs on a loop now, from any thread."""
    if _current is not None:
        task: AnyTask | None = _current.get(loop)
        return task
    try:
        return asyncio.current_task(loop)
    except RuntimeError:
        return None


def _class_of_first_steps() -> Any:
    """The C type of the callback that runs the first step of a task, which has neither name nor module."""
    callbacks: list[Any] = []

    class Stub:
        def get_debug(self) -> bool:
            return False

        def call_soon(self, callback: Any, context: Any = None) -> None:  # noqa: ARG002
            callbacks.append(callback)

    async def nothing() -> None:
        pass

    coro = nothing()
    # The name keeps asyncio from counting it: the program's first task stays `Task-1`.
    task: Any = asyncio.Task(coro, loop=Stub(), name="")  # type: ignore[arg-type]
    task._log_destroy_pending = False
    coro.close()
    return type(callbacks.pop())


_step_class = _class_of_first_steps()
_wakeup_class = type(len)
"""Of the callback that runs the other steps, as of every bound method of C."""


def record_of(task: Any) -> TaskRecord | None:
    """The record of a task. An entry may be of a dead task that had the same address, so it is asked."""
    record = records.get(id(task))
    return record if record is not None and record() is task else None


def adopt(task: AnyTask, loop: LoopRecord | None, older: bool = False) -> TaskRecord:
    """The record of a task that was made without passing `create_task`, or (`older`) before the probe came."""
    record = record_of(task)
    if record is None:
        record = TaskRecord(task)
        record.id = next_id()
        record.key = id(task)
        record.born = record.code = None
        record.lasti = record.parent = 0
        record.eager = False
        record.older = older
        record.loop = loop
        start_counting(record)
        records[record.key] = record
        if watching:
            record.dirty = True
            changed.append(record)
    return record


def hook_create_task(original: Callable[..., AnyTask], native: bool) -> Callable[..., AnyTask]:
    """`create_task` of a loop class, which also registers the task. `native`: the loop is asyncio's own."""
    code = original.__code__ if native and is_asyncios(original) else None
    if code is not None and code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] == _PLAIN:
        return _hook_plain_create_task(original)
    return _hook_any_create_task(original, native, 1)


_PLAIN = ("self", "coro", "name", "context")
"""What `BaseEventLoop.create_task` takes up to 3.13.2; later it passes on what it is given."""


def _hook_plain_create_task(original: Callable[..., AnyTask]) -> Callable[..., AnyTask]:
    """It does what asyncio's own does in its place, which pays for most of the registration.

    With a task factory, in debug mode and for a closed loop, asyncio's own is called.
    """
    getframe = sys._getframe
    plumbing = sites.plumbing
    user = sites.USER
    current = _current.get if _current is not None else current_task_of
    not_plain = _hook_any_create_task(original, True, 2)

    def create_task(self: Any, coro: Any, *, name: Any = None, context: Any = None) -> AnyTask:
        if self._task_factory is not None or self._debug or self._closed:
            return not_plain(self, coro, name=name, context=context)
        born = monotonic()
        task = tasks.Task(coro, loop=self, name=name, context=context)
        try:
            record = TaskRecord(task)
            record.id = next_id()
            record.key = key = id(task)
            record.born = born
            record.eager = record.older = False
            try:
                record.loop = loops[self]
            except KeyError:
                record.loop = on_loop(self)
            creator = current(self)
            parent = records.get(id(creator))
            if parent is not None and parent() is creator:
                record.parent = parent.id
            else:
                record.parent = 0 if creator is None else adopt(creator, record.loop).id
            frame: Any = getframe(1)
            code = frame.f_code
            if plumbing[code.co_filename] != user:
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
            if watching:
                record.busy = record.scheduled = record.max_step = 0.0
                record.steps = record.outcome = record.site = 0
                record.coro = record.failure = record.histogram = record.name = record.origin = record.counted = None
                record.told = -1
                record.dirty = False  # after its first step, or within a second, the sampler gets it
                if origin_depth:
                    record.origin = sites.stack_of(getframe(1), origin_depth)
                records[key] = record
            else:
                records[key] = record
                if watching:  # another thread has begun to count in between
                    start_counting(record)
        except Exception as error:
            on_error("create_task", error)
        return task

    return create_task


def _hook_any_create_task(original: Callable[..., AnyTask], native: bool, depth: int) -> Callable[..., AnyTask]:
    """The same for factories, debug mode and loops of any kind. The caller is `depth` frames up."""
    getframe = sys._getframe

    def create_task(self: Any, coro: Any, **kwargs: Any) -> AnyTask:
        factory = self._task_factory if native else _factory_of(self)
        eager = factory is not None or "eager_start" in kwargs
        nested = _nested(self) if eager else 0.0
        born = monotonic()
        task = original(self, coro, **kwargs)
        try:
            if eager and not hasattr(task, "_fut_waiter"):
                return task  # somebody's factory made something else: a future, a proxy
            _register(self, task, coro, born, getframe(depth), nested if eager else None)
            if watching:
                record = records[id(task)]
                if record.eager and task.done():
                    finish(record, task, monotonic())
                    record.name = kwargs.get("name")  # else set by the caller, after this (3.12)
            if native and self._debug and task._source_traceback:  # type: ignore[attr-defined]
                without_hook(task._source_traceback, getframe(depth))  # type: ignore[attr-defined]
        except Exception as error:
            on_error("create_task", error)
        try:
            return task
        finally:
            del task  # the traceback of an eager one that failed leads to this frame

    return create_task


def _register(loop: Any, task: AnyTask, coro: Any, born: float, caller: Any, nested: float | None) -> None:
    """`nested` is not None where the task may be eager: see `_book_eager`."""
    record = TaskRecord(task)
    record.id = next_id()
    record.key = id(task)
    record.born = born
    record.eager = record.older = False
    known = loops.get(loop)
    record.loop = on_loop(loop) if known is None else known
    creator = current_task_of(loop)
    # An eager task in its first step has no record yet; it keeps the id that it is given here.
    record.parent = 0 if creator is None else adopt(creator, record.loop).id
    record.code, record.lasti = sites.of(coro, caller)
    if watching:
        start_counting(record)
        record.counted = None
        if origin_depth:
            record.origin = sites.stack_of(caller, origin_depth)
    if nested is not None:
        _book_eager(task, coro, record, born, nested)
    records[record.key] = record
    if watching and getattr(record, "told", None) is None:
        start_counting(record)
    if watching and record.eager and not task.done():
        record.dirty = True
        changed.append(record)


def _factory_of(loop: Any) -> Any:
    try:
        return loop.get_task_factory()
    except Exception:  # a loop of somebody's own need not have that method
        return None


def without_hook(stack: list[Any], caller: Any) -> None:
    """Makes of a creation stack that asyncio kept in debug mode what it would be without a hook's frame in it.

    asyncio keeps the ten innermost frames, so one that lies further out takes the place of ours.
    """
    for index in range(len(stack) - 1, -1, -1):
        if stack[index].filename == _FILE and stack[index].name in ("create_task", "call_soon"):
            if caller is None:
                del stack[index]
            else:
                stack[: index + 1] = format_helpers.extract_stack(caller, index + 1)
            return


_FILE = without_hook.__code__.co_filename


def _nested(loop: Loop) -> float:
    record = loops.get(loop)
    return 0.0 if record is None else record.nested


def _book_eager(task: AnyTask, coro: Any, record: TaskRecord, born: float, nested: float) -> None:
    """Books the first step of an eager task, which ran inside its creator's.

    `nested` is what eager tasks had taken of that step before: what they took since, this one's children took.
    The factory may be anybody's, so this asks the coroutine, not the factory, whether it has begun.
    """
    record.eager = task.done() or getattr(coro, "cr_suspended", False) or getattr(coro, "gi_suspended", False)
    if not record.eager:
        return
    if task.done():
        record.coro = name_of(coro)  # such a task does not know its coroutine any more
    twin = record_of(task)
    if twin is not None:
        record.id = twin.id
    loop = record.loop
    if watching and loop is not None:
        elapsed = monotonic() - born
        record.steps = 1
        record.busy = record.max_step = max(elapsed - (loop.nested - nested), 0.0)
        loop.nested = nested + elapsed


class TimedHandle(events.Handle):
    """asyncio's Handle which knows since when it is ready (`time.monotonic`)."""

    __slots__ = ("ready",)

    ready: float


TimedHandle.__name__ = TimedHandle.__qualname__ = "Handle"
TimedHandle.__module__ = "asyncio.events"
HANDLE_SLOTS = {
    "_callback",
    "_args",
    "_cancelled",
    "_loop",
    "_source_traceback",
    "_repr",
    "_context",
    "__weakref__",
}
"""What `call_soon` knows how to fill in; where asyncio's Handle has other slots, that hook stays out."""


def hook_call_soon(original: Callable[..., Any]) -> Callable[..., Any]:
    """`BaseEventLoop.call_soon` with timed handles. In debug mode asyncio's own checks come first."""
    if not is_asyncios(original):
        raise TypeError("somebody has replaced BaseEventLoop.call_soon; scheduled times are not known")
    new = object.__new__
    handle_class = TimedHandle

    def call_soon(self: Any, callback: Any, *args: Any, context: Context | None = None) -> Any:
        if self._closed or self._debug:
            made = original(self, callback, *args, context=context)
            if made._source_traceback:
                without_hook(made._source_traceback, sys._getframe(1))
            return made
        # Handle.__init__ of 3.11 to 3.15, without the call.
        handle: Any = new(handle_class)
        handle._context = copy_context() if context is None else context
        handle._loop = self
        handle._callback = callback
        handle._args = args
        handle._cancelled = False
        handle._repr = None
        handle._source_traceback = None
        handle.ready = monotonic()
        self._ready.append(handle)
        return handle

    return call_soon


def hook_run(original: Callable[[Any], None]) -> Callable[[Any], None]:  # noqa: C901
    """`Handle._run` that times every callback of asyncio's loops and books it to its task.

    It does what asyncio's own does (3.11 to 3.15) in its place: a call to it would cost more than the booking.
    What somebody else has put there is called.
    """
    handle_class = TimedHandle
    theirs = None if is_asyncios(original) else original

    def _run(self: Any) -> None:  # noqa: C901 - a call for each branch would cost more than the branches
        callback = self._callback
        try:
            owner = getattr(callback, "__self__", None)
        except Exception:  # a proxy that answers only in its own context
            owner = None
        try:
            loop = loops[self._loop]
        except KeyError:
            loop = on_loop(self._loop)
        loop.started = started = monotonic()
        try:
            if theirs is None:
                self._context.run(callback, *self._args)
            else:
                theirs(self)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            if theirs is not None:
                raise
            _tell_loop(self, error)
        elapsed = monotonic() - started
        loop.started = 0.0
        loop.busy += elapsed
        try:
            if owner is not None:
                record = records.get(id(owner))
                if record is not None and (callback.__class__ is _step_class or callback.__name__ in _STEP_NAMES):
                    if elapsed >= slow_threshold:
                        on_slow(loop, callback, record, started, elapsed)
                    if loop.nested:
                        elapsed = max(elapsed - loop.nested, 0.0)
                        loop.nested = 0.0
                    record.steps += 1
                    record.busy += elapsed
                    if elapsed > record.max_step:
                        record.max_step = elapsed
                    if self.__class__ is handle_class:
                        record.scheduled += started - self.ready
                    if record.histogram is not None:
                        record.histogram.add(elapsed, started - getattr(self, "ready", started))
                    if owner.done():
                        finish(record, owner, started + elapsed)
                    elif not record.dirty:
                        record.dirty = True
                        changed.append(record)
                    self = callback = owner = None
                    return
                if record is None and callback.__class__ is _wakeup_class and callback.__name__ in _STEP_NAMES:
                    adopt(owner, loop)  # made by calling `asyncio.Task`: its steps count from the next one on
            if loop.nested:
                loop.nested = 0.0
            if elapsed >= slow_threshold:
                on_slow(loop, callback, None, started, elapsed)
        except Exception as error:
            if watching:  # else this is left under somebody's patch, and nothing is booked
                on_error("run", error)
        # As asyncio does: from 3.12 on the traceback of a failed task leads to this frame, and so back to the task.
        self = callback = owner = None

    return _run


def is_asyncios(function: Any) -> bool:
    """Whether a function is asyncio's own, and not one that somebody has put in its place."""
    code = getattr(function, "__code__", None)
    return code is not None and code.co_filename in (
        events.Handle.__init__.__code__.co_filename,
        base_events.BaseEventLoop.time.__code__.co_filename,
    )


def _tell_loop(handle: Any, error: BaseException) -> None:
    """What `Handle._run` does with an exception: the same context and the same words."""
    source = _callback_source(handle)
    context = {"message": f"Exception in callback {source}", "exception": error, "handle": handle}
    if handle._source_traceback:
        context["source_traceback"] = handle._source_traceback
    handle._loop.call_exception_handler(context)


def _callback_source(handle: Any) -> str:
    if sys.version_info >= (3, 13):
        return format_helpers._format_callback_source(handle._callback, handle._args, debug=handle._loop.get_debug())
    return format_helpers._format_callback_source(handle._callback, handle._args)


def hook_foreign_call_soon(original: Callable[..., Any]) -> Callable[..., Any]:
    """`call_soon` of a loop with handles of its own (uvloop): steps of tasks are timed, nothing else is touched.

    A step of a C task raises nothing but SystemExit and KeyboardInterrupt, so the handle is in no error text.
    """

    def call_soon(self: Any, callback: Any, *args: Any, context: Context | None = None) -> Any:
        # The first step of a task comes here before the task is registered.
        if type(callback) is not _step_class and not _is_known_step(callback):
            return original(self, callback, *args, context=context)
        handle: Any = TimedHandle(callback, args, self, copy_context() if context is None else context)
        handle.ready = monotonic()
        return original(self, handle._run)

    return call_soon


def _is_known_step(callback: Any) -> bool:
    try:
        return id(callback.__self__) in records and callback.__name__ in _STEP_NAMES
    except Exception:  # most callbacks have no `__self__`
        return False


def finish(record: TaskRecord, task: AnyTask, now: float) -> None:
    """Books the end of a task. Never calls `task.exception()`: it would silence "never retrieved"."""
    if record.outcome:
        return
    global named
    if record() is not task:
        return  # made by calling `asyncio.Task`, at the address of one that was collected a moment ago
    record.ended = now
    error = task._exception
    if error is not None:
        record.failure = Failure(error)
        record.outcome = wire.FAILED
    else:
        record.outcome = wire.CANCELLED if task.cancelled() else wire.DONE
    if named < MOST_NAMED or error is not None:
        named += 1
        record.name = task.get_name()
        record.coro = record.coro or coro_name(task)
    elif record.told < 0 and not record.dirty and record.counted is None:
        # No viewer has heard of it, and those that are told by name are enough: it need not even be kept.
        counts = short_lives.get((id(record.code), record.lasti))
        if counts is not None:
            counts.add(record)
            if record.loop is not None:
                record.loop.steps += record.steps
            record.dirty = True
    if not record.dirty:
        record.dirty = True
        changed.append(record)
    if records.get(record.key) is record:
        del records[record.key]


def cost_of_a_step() -> float:
    """Seconds that the hooks add to one step on this machine, now: measured once, in the probe's thread."""

    class Stub:
        __name__ = "__step"
        __self__: Any

        def __call__(self) -> None:
            pass

        def done(self) -> bool:
            return False

        def get_debug(self) -> bool:
            return False

    stub: Any = Stub()
    stub.__self__ = stub
    record = TaskRecord(stub)
    record.key = record.id = 0
    start_counting(record)
    record.dirty = True
    loop = LoopRecord(stub, 0, "", True)
    record.loop = loop
    handle: Any = events.Handle(stub, (), stub, copy_context())
    own: Any = events.Handle.__init__  # a function of asyncio's, whatever lies in the place of `_run` now
    timed = hook_run(own)
    best = [1.0, 1.0]
    records[id(stub)] = record
    loops[stub] = loop
    try:
        for _ in range(5):
            for index, run in enumerate((handle._context.run, timed)):
                started = monotonic()
                for _ in range(40):
                    run(handle) if index else run(stub)
                best[index] = min(best[index], (monotonic() - started) / 40)
    finally:
        del records[id(stub)], loops[stub], stub.__self__
    return max(best[1] - best[0], 0.0)
