"""The hooks of `call_soon` and `Handle._run` in Python, used where those in C are not available: they time each step.

Measured (`python -m benchmarks`): a `call_soon` that builds its handle in one Python call instead of four saves most of
the cost of the accounting.
"""

from __future__ import annotations

import sys
from asyncio import events, format_helpers, futures, tasks
from contextvars import Context, copy_context
from time import monotonic
from types import MethodType, TracebackType
from typing import TYPE_CHECKING, Any

from ..base import protocol
from ..base.task_facts import asyncios_cancelled, asyncios_done, error_of, is_done
from . import groups
from .accounting import (
    State,
    adopt,
    changed,
    finish,
    loops,
    make_first_step_callback,
    records,
    state,
)
from .backend import MOST_CHANGED, MOST_NAMED
from .births_in_python import strip_hook_frame
from .records import NOT_YET, TaskRecord, begin

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    AnyTask = asyncio.Task[Any]
    Loop = asyncio.AbstractEventLoop

STEP_NAMES = frozenset({"task_wakeup", "TaskWakeupMethWrapper", "__step", "__wakeup"})
first_step_class = type(make_first_step_callback()[1])
"""The C type of the callback that runs the first step of a task, which has neither name nor module."""
_wakeup_class = type(len)
"""The type of the callback that runs the other steps: that of every bound method in C."""
_Future = futures.Future
IN_BETWEEN = ("call_soon", "_see_cancel")
"""Functions of this module that lie on the stack between the caller of `cancel` and the hook's note."""


class TimedHandle(events.Handle):
    """asyncio's Handle with the time since which it is ready (`time.monotonic`); its creator sets all slots."""

    __slots__ = ("ready",)

    ready: float

    __init__ = object.__init__  # a call of the class is the fastest way to an empty object


TimedHandle.__name__ = TimedHandle.__qualname__ = "Handle"
TimedHandle.__module__ = "asyncio.events"


def hook_call_soon(original: Callable[..., Any]) -> Callable[..., Any]:
    """`BaseEventLoop.call_soon` with timed handles. In debug mode asyncio's own checks come first."""
    new: Any = TimedHandle
    clock = monotonic
    current_context = copy_context
    wakeup = _wakeup_class
    future = _Future

    def call_soon(self: Any, callback: Any, *args: Any, context: Context | None = None) -> Any:
        if type(callback) is wakeup and args and isinstance(args[0], future) and args[0].cancelled():
            _see_cancel(self, callback, args[0])
        if self._closed or self._debug:
            made = original(self, callback, *args, context=context)
            if made._source_traceback:
                strip_hook_frame(made._source_traceback, sys._getframe(1))
            return made
        # Handle.__init__ of 3.11 to 3.15, without the call.
        handle = new()
        handle._context = current_context() if context is None else context
        handle._loop = self
        handle._callback = callback
        handle._args = args
        handle._cancelled = False
        handle._repr = None
        handle._source_traceback = None
        handle.ready = clock()
        self._ready.append(handle)
        return handle

    return call_soon


def hook_run(original: Callable[[Any], None], asyncios: bool) -> Callable[[Any], None]:  # noqa: C901
    """`Handle._run` that times every callback of asyncio's loops and accounts it to its task.

    It replaces asyncio's own (3.11 to 3.15) instead of calling it: the call would cost more than the accounting.
    If the program has replaced `Handle._run`, that one is called.
    """
    handle_class = TimedHandle
    theirs = None if asyncios else original
    clock = monotonic
    shared = state
    known = loops
    record_at = records.get
    first_step = first_step_class
    wakeup = _wakeup_class
    bound = MethodType
    done = asyncios_done
    not_yet = NOT_YET
    of_groups = groups.groups

    def _run(self: Any) -> None:  # noqa: C901 - a call for each branch would cost more than the branches
        callback = self._callback
        args = self._args
        try:
            loop = known[self._loop]
        except Exception:  # it is new, or not a loop: the program may set `_loop` to anything
            other: Any = getattr(self, "_loop", None)
            loop = shared.on_loop(other)
        loop.nested = 0.0  # left over from a step that was not timed
        loop.started = started = clock()
        try:
            if theirs is not None:
                theirs(self)
            elif not args and args is not None:  # twice as fast as `*args`
                self._context.run(callback)
            elif args is not None and len(args) == 1:
                self._context.run(callback, args[0])
            else:
                self._context.run(callback, *args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            if theirs is not None:
                raise
            _report_to_loop(self, error, original)
        elapsed = (ended := clock()) - started
        loop.started = 0.0
        loop.busy += elapsed
        try:
            kind = type(callback)  # of all others the owner is not asked: it may be a proxy
            if kind is first_step or kind is wakeup or kind is bound:
                owner = callback.__self__
                record = record_at(id(owner))
                if record is not None and record() is not owner:
                    record = None  # of a dead task that had the same address
                if record is not None and (kind is first_step or callback.__name__ in STEP_NAMES):
                    histogram = record.histogram
                    if histogram is not_yet:
                        if (
                            not loop.nested
                            and kind is not bound
                            and not of_groups.stepping
                            and _ended_unseen(record, owner, elapsed)
                        ):
                            self = callback = args = owner = None
                            return
                        begin(record)
                        histogram = None
                    if elapsed >= shared.slow_threshold:
                        shared.on_slow(loop, callback, record, started, elapsed)
                    if loop.nested:
                        elapsed = max(elapsed - loop.nested, 0.0)
                    record.steps += 1
                    record.busy += elapsed
                    if elapsed > record.max_step:
                        record.max_step = elapsed
                    if type(self) is handle_class:
                        record.scheduled += started - self.ready
                    if histogram is not None:
                        histogram.add(elapsed, started - getattr(self, "ready", started))
                    if of_groups.stepping:
                        of_groups.after_step(record, self._context)
                    if done(owner) if kind is not bound else is_done(owner):
                        finish(record, owner, ended)
                    elif not record.dirty:
                        if len(changed) < MOST_CHANGED:
                            record.dirty = True
                            changed.append(record)
                        else:
                            shared.lost += 1
                    self = callback = args = owner = None
                    return
                if record is None and (kind is first_step or (kind is wakeup and callback.__name__ in STEP_NAMES)):
                    adopt(owner, loop)  # made by calling `asyncio.Task`: its steps count from the next one on
                owner = None
            if elapsed >= shared.slow_threshold:
                shared.on_slow(loop, callback, None, started, elapsed)
        except Exception as error:
            if shared.watching:  # else the hook was left in place under another patch, and nothing is accounted
                shared.on_error("run", error)
        # As asyncio does: from 3.12 on the traceback of a failed task refers to this frame, and so to the task.
        self = callback = args = owner = None

    return _run


class _Broken:
    """Handle, context and loop in one; its first call raises, which leaves a traceback through `Handle._run`."""

    def __init__(self) -> None:
        self._callback, self._args, self._source_traceback = len, (), None
        self._context = self._loop = self
        self.error: Any = None

    def run(self, *_: Any) -> None:
        raise LookupError

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.error = context["exception"]


def _entry_of(original: Callable[[Any], None]) -> TracebackType | None:
    """The first entry of a traceback through asyncio's own `Handle._run`. Made anew each time, so that it keeps no more
    frames alive than asyncio's own would.
    """
    broken = _Broken()
    original(broken)
    entry: TracebackType | None = broken.error.__traceback__
    broken.error = None
    if entry is not None:
        entry.tb_frame.clear()
    return entry


def _report_to_loop(handle: Any, error: BaseException, original: Callable[[Any], None]) -> None:
    """Reports an exception as `Handle._run` does: the same context, message and traceback."""
    ours = error.__traceback__
    entry = _entry_of(original)
    if entry is not None and ours is not None:
        error.__traceback__ = TracebackType(ours.tb_next, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    source = _callback_source(handle)
    context = {"message": f"Exception in callback {source}", "exception": error, "handle": handle}
    if handle._source_traceback:
        context["source_traceback"] = handle._source_traceback
    handle._loop.call_exception_handler(context)


def _callback_source(handle: Any) -> str:
    if sys.version_info >= (3, 13):
        return format_helpers._format_callback_source(handle._callback, handle._args, debug=handle._loop.get_debug())
    return format_helpers._format_callback_source(handle._callback, handle._args)


_counts_at = state.site_aggregates.by_site.get if isinstance(state, State) else None


def _ended_unseen(record: TaskRecord, task: AnyTask, elapsed: float) -> bool:
    """Counts a task whose first step was its last at its creation site only. False: it must be accounted as usual."""
    if (
        asyncios_done(task)
        and state.named >= MOST_NAMED
        and elapsed < state.slow_threshold
        and _counts_at is not None
        and (counts := _counts_at(id(record.code) + record.lasti)) is not None
        and error_of(task) is None
        and record.histogram is NOT_YET  # the sampler may have come in between
    ):
        # No viewer knows this task, and enough ends are reported by name already: only its site counts it.
        record.dirty = True
        record.histogram = None
        counts.born += 1
        counts.ended += 1
        counts.unreported += 1
        counts.busy += elapsed
        counts.steps += 1
        if asyncios_cancelled(task):
            counts.cancelled += 1
        _count_unseen(record, task, elapsed)
        if record.loop is not None:
            record.loop.steps += 1
        del records[record.key]
        return True
    return False


def _count_unseen(record: TaskRecord, task: AnyTask, elapsed: float) -> None:
    """Counts the end of a task that ended in its first step in its group: what it did not run, it was queued."""
    record.ended = monotonic()
    record.outcome = protocol.CANCELLED if asyncios_cancelled(task) else protocol.DONE
    record.busy, record.counted = elapsed, None
    record.scheduled = 0.0 if record.born is None else max(record.ended - record.born - elapsed, 0.0)
    groups.leave(record)


def hook_foreign_call_soon(original: Callable[..., Any]) -> Callable[..., Any]:  # noqa: C901
    """`call_soon` of a loop with handles of its own (uvloop): steps of tasks are timed, nothing else is touched.

    A step of a C task raises nothing but SystemExit and KeyboardInterrupt, so the handle is in no error text.
    """
    clock = monotonic
    shared = state
    known = loops
    record_at = records.get
    first_step = first_step_class
    wakeup = _wakeup_class
    bound = MethodType
    done = asyncios_done
    future = _Future
    not_yet = NOT_YET
    of_groups = groups.groups
    current_context = copy_context

    def _run(self: Any, callback: Any, args: Any, ready: float) -> None:  # noqa: C901
        # As in `hook_run`, repeated: a handle and a shared function would cost half a step of uvloop.
        try:
            loop = known[self]
        except Exception:
            loop = shared.on_loop(self)
        loop.nested = 0.0  # left over from a step that was not timed
        loop.started = started = clock()
        if args:
            callback(*args)
        else:
            callback()
        elapsed = (ended := clock()) - started
        loop.started = 0.0
        loop.busy += elapsed
        try:
            owner = callback.__self__
            record: Any = record_at(id(owner))
            if record is None or record() is not owner:
                if type(callback) is not bound:
                    adopt(owner, loop)  # made by calling `asyncio.Task`: its steps count from the next one on
                if elapsed >= shared.slow_threshold:
                    shared.on_slow(loop, callback, None, started, elapsed)
                return
            histogram = record.histogram
            if histogram is not_yet:
                if (
                    not loop.nested
                    and type(callback) is not bound
                    and not of_groups.stepping
                    and _ended_unseen(record, owner, elapsed)
                ):
                    return
                begin(record)
                histogram = None
            if elapsed >= shared.slow_threshold:
                shared.on_slow(loop, callback, record, started, elapsed)
            if loop.nested:
                elapsed = max(elapsed - loop.nested, 0.0)
            record.steps += 1
            record.busy += elapsed
            if elapsed > record.max_step:
                record.max_step = elapsed
            record.scheduled += started - ready
            if histogram is not None:
                histogram.add(elapsed, started - ready)
            if of_groups.stepping:
                of_groups.after_step(record, current_context())
            if done(owner) if type(callback) is not bound else is_done(owner):
                finish(record, owner, ended)
            elif not record.dirty:
                if len(changed) < MOST_CHANGED:
                    record.dirty = True
                    changed.append(record)
                else:
                    shared.lost += 1
        except Exception as error:
            if shared.watching:
                shared.on_error("run", error)

    def call_soon(self: Any, callback: Any, *args: Any, context: Context | None = None) -> Any:
        kind = type(callback)  # of all others the owner is not asked: it may be a proxy
        # The first step of a task is scheduled before the task is registered.
        if kind is not first_step and (
            (kind is not wakeup and kind is not bound)
            or record_at(id(callback.__self__)) is None
            or callback.__name__ not in STEP_NAMES
        ):
            return original(self, callback, *args, context=context)
        if args and isinstance(args[0], future) and args[0].cancelled():
            _see_cancel(self, callback, args[0])
        return original(self, _run, self, callback, args, clock(), context=context)

    return call_soon


def _see_cancel(loop: Any, callback: Any, future: Any) -> None:
    """Notes who cancelled a future that wakes a task, while the caller is on the stack."""
    if callback.__name__ in STEP_NAMES and isinstance(callback.__self__, tasks.Task) and state.on_cancel is not None:
        state.on_cancel(loop, callback.__self__, future)
