"""**The hot path**: hooks that run per task and per step inside the program. The program pays for every line.

There are two backends with the same behaviour: hooks in C (native/; asyncio's own methods are Python, so little
time is added) and hooks in Python (births_in_python.py and steps_in_python.py). The records they fill
(accounting.py) become rows in another thread.

The hooks replace methods of loop classes and change nothing else: no task factory is set, no coroutine is wrapped, no
done-callback is added. `create_task` is always hooked; `run` and `call_soon` only while steps are counted.
"""

from __future__ import annotations

from asyncio import base_events, events, futures, tasks
from collections import deque
from contextvars import copy_context
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..base import protocol, sites
from . import steps_in_python
from .accounting import (
    Table,
    Unfollowed,
    _current,
    add_changed,
    adopt,
    begin_loop,
    changed,
    current_task_of,
    end_loop,
    forget_all,
    loops,
    make_first_step_callback,
    new_table,
    prune,
    record_of,
    records,
    report_end,
    site_aggregates,
    state,
    walk,
)
from .backend import shared, why_pure
from .births_in_python import hook_any_create_task, hook_plain_create_task, strip_hook_frame
from .records import LoopRecord
from .registry import Hook
from .steps_in_python import STEP_NAMES, first_step_class

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "HOOKS",
    "NATIVE",
    "NewTasks",
    "Table",
    "add_changed",
    "adopt",
    "begin_loop",
    "changed",
    "current_task_of",
    "end_loop",
    "forget_all",
    "is_step",
    "loops",
    "new_table",
    "prune",
    "record_of",
    "records",
    "running",
    "site_aggregates",
    "state",
    "strip_hook_frame",
    "walk",
]


def _learn() -> Any:
    """Lets the backend in C find the slots of this asyncio's objects. Returns it, or None and the reason it cannot."""
    if shared is None:
        return None, why_pure
    try:
        if (sites.USER, sites.BOUNDARY, sites.RUNNER, sites.FRAMEWORK) != (0, 2, 3, 4) or protocol.STATES.index(
            "done"
        ) != 3:
            return None, "built for another looptop"
        task, first_step = make_first_step_callback()
        if set(events.Handle.__slots__) != HANDLE_SLOTS:
            return None, "asyncio's Handle has changed"
        shared.learn_handle(events.Handle, events.TimerHandle)
        shared.learn_task(tasks.Task, task, first_step, deque())
        shared.learn_cancels(futures.Future(loop=task._loop))
        shared.python_step = getattr(getattr(tasks, "_PyTask", None), "_Task__step", None)
        shared.learn_rest(adopt, report_end, _kind_of, sites.of, sites.stack_of, _current, current_task_of, tasks)
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"
    return shared, ""


_INSTALLED = 8  # as in native/hooks.h


def _kind_of(code: Any) -> int:
    if code is sites.LOOP:
        return sites.BOUNDARY
    file = code.co_filename
    return sites.plumbing[file] + (_INSTALLED if sites.is_package(file) else 0)


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
"""The slots that the `call_soon` hook fills in; if asyncio's Handle has others, the hook is not installed."""

_native, _why = _learn()
native_state = _native
"""The state of the hooks in C; None where the hooks in Python are used."""
HOOKS = "C" if _native is not None else f"pure Python ({_why})"
"""The backend in use, and the reason if it is not C; shown to users."""
NATIVE = _native is not None
"""Whether the hooks are those in C."""


def hook_create_task(original: Callable[..., Any], native: bool) -> Any:
    """`create_task` of a loop class, which also registers the task. `native`: the loop is asyncio's own."""
    code = original.__code__ if native and is_asyncios(original) else None
    plain = code is not None and code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] == _PLAIN
    if _native is None:
        return hook_plain_create_task(original) if plain else hook_any_create_task(original, native, 1)
    kind = "create_task" if plain else "foreign_create_task"
    if code is not None and not plain and code.co_argcount == 2 and code.co_flags & _TAKES_KEYWORDS:
        kind = "create_task_kwargs"
    return _native.hook(kind, original, hook_any_create_task(original, native, 1), code is not None)


class NewTasks(Hook):
    """Registers tasks that are made by calling `asyncio.Task`. In C only: no attribute of `Task` can be replaced."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("Task.__init__", tasks.Task, "__init__", lambda original: original)

    def install(self) -> None:
        """Replaces what the type calls for each new task."""
        native_state.hook_new_tasks()
        self._replacement = self

    def remove(self) -> bool:
        """Puts the type's own slot back; always possible."""
        if self.on:
            native_state.unhook_new_tasks()
            self._replacement = None
        return True


_PLAIN = ("self", "coro", "name", "context")
"""Parameters of `BaseEventLoop.create_task` up to 3.13.2; later ones pass any keyword on."""
_TAKES_KEYWORDS = 8
"""CO_VARKEYWORDS in `co_flags`: the function takes any keyword."""


def hook_call_soon(original: Callable[..., Any]) -> Any:
    """`BaseEventLoop.call_soon` with timed handles. In debug mode asyncio's own checks come first."""
    if not is_asyncios(original):
        raise TypeError("somebody has replaced BaseEventLoop.call_soon; scheduled times are not known")
    return (
        steps_in_python.hook_call_soon(original) if _native is None else _native.hook("call_soon", original, None, True)
    )


def hook_run(original: Callable[[Any], None]) -> Any:
    """`Handle._run` that times every callback of asyncio's loops and accounts it to its task."""
    asyncios = is_asyncios(original)
    return (
        steps_in_python.hook_run(original, asyncios)
        if _native is None
        else _native.hook("run", original, None, asyncios)
    )


def hook_foreign_call_soon(original: Callable[..., Any]) -> Any:
    """`call_soon` of a loop with handles of its own (uvloop): steps of tasks are timed, nothing else is touched.

    A step of a C task raises nothing but SystemExit and KeyboardInterrupt, so the handle is in no error text.
    """
    if _native is None:
        return steps_in_python.hook_foreign_call_soon(original)
    return _native.hook("foreign_call_soon", original, None, False)


def steps_of_others() -> int | None:
    """Number of steps that loops with handles of their own have to run, with those that run; None if not counted."""
    return None if _native is None else _native.steps_of_others


def is_asyncios(function: Any) -> bool:
    """Whether a function is asyncio's own and has not been replaced."""
    code = getattr(function, "__code__", None)
    return code is not None and code.co_filename in (
        events.Handle.__init__.__code__.co_filename,
        base_events.BaseEventLoop.time.__code__.co_filename,
    )


def is_step(callback: Any) -> bool:
    """Whether a callback runs a step of a task."""
    if type(callback) is first_step_class:
        return True
    return getattr(callback, "__name__", "") in STEP_NAMES and isinstance(
        getattr(callback, "__self__", None), tasks.Task
    )


def running() -> list[tuple[Any, LoopRecord]]:
    """The loops that run now, with their records."""
    found = []
    entries: list[tuple[Any, LoopRecord]] = list(loops.items())
    for key, record in entries:
        loop: Any = key() if type(key) is Unfollowed else key
        if loop is not None:
            found.append((loop, record))
    return found


def cost_of_a_step() -> float:
    """Seconds that the hooks add to one callback on this machine, now: measured once, in the probe's thread."""

    class Stub:
        def get_debug(self) -> bool:
            return False

    stub: Any = Stub()
    loop = LoopRecord(stub, 0, "", True)
    handle: Any = events.Handle(_nothing, (), stub, copy_context())
    own: Any = events.Handle._run
    while hasattr(own, "__wrapped__"):
        own = own.__wrapped__
    timed = hook_run(own)
    best = [1.0, 1.0]
    loops[stub] = loop
    try:
        for _ in range(5):
            for index, run in enumerate((own, timed)):
                started = monotonic()
                for _ in range(40):
                    run(handle)
                best[index] = min(best[index], (monotonic() - started) / 40)
    finally:
        del loops[stub]
        state.forget_loops()
    return max(best[1] - best[0], 0.0)


def _nothing() -> None:
    pass
