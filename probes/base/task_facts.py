"""Name, coroutine and outcome of a task of any class: nothing is raised, and no exception is marked as retrieved."""

from __future__ import annotations

import sys
from asyncio import tasks
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from .classes import IN_C, attribute_of, qualname_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    AnyTask = asyncio.Task[Any]


def name_of(coro: Any) -> str:
    """The qualified name of a coroutine; that of its class if only code of the program knows another.

    Such code may raise anything. A KeyboardInterrupt could not be told from that of a user who presses Ctrl+C.
    """
    kind = type(coro)
    if kind is CoroutineType:
        return str(coro.__qualname__)
    found, of_object = attribute_of(kind, "__qualname__"), attribute_of(kind, "__dict__")
    try:
        if type(found) in IN_C:
            name = found.__get__(coro)
        elif found is None and type(of_object) in IN_C:
            name = dict.get(of_object.__get__(coro), "__qualname__")
        else:
            name = None
    except Exception:  # a slot that is not set
        name = None
    return name if type(name) is str else qualname_of(kind)


asyncios_get_coro: Callable[[Any], Any] = tasks.Task.get_coro
asyncios_done: Callable[[Any], bool] = tasks.Task.done
asyncios_cancelled: Callable[[Any], bool] = tasks.Task.cancelled
"""The methods of C tasks, called without looking at subclasses' overrides. They raise TypeError for a task in
Python."""


def is_done(task: Any) -> bool:
    """Whether a task is done; False if a task class of the program fails to answer."""
    try:
        return asyncios_done(task)
    except TypeError:
        pass
    try:
        return bool(task.done())
    except Exception:
        return False


def is_cancelled(task: Any) -> bool:
    """Whether a task was cancelled; False if a task class of the program fails to answer."""
    try:
        return asyncios_cancelled(task)
    except TypeError:
        pass
    try:
        return bool(task.cancelled())
    except Exception:
        return False


def error_of(task: Any) -> BaseException | None:
    """The exception that a task ended with, read without marking it as retrieved."""
    try:
        error: BaseException | None = task._exception
    except Exception:
        return None
    return error


def task_name(task: Any) -> str:
    """The name of a task; empty if the `get_name` of the program's task class fails."""
    try:
        return str(task.get_name())
    except Exception:
        return ""


def coro_of(task: Any) -> Any:
    """The coroutine of a task; None if a task class of the program fails to answer."""
    try:
        return asyncios_get_coro(task)
    except TypeError:
        pass
    try:
        return task.get_coro()
    except Exception:
        return None


def coro_name(task: AnyTask, stepped: bool = False) -> str:
    """The qualified name of the coroutine of a task. `stepped`: an eager first step was not its last one."""
    if _GET_CORO_CRASHES and not stepped and is_done(task):
        return "?"
    return name_of(coro_of(task))


_GET_CORO_CRASHES = (3, 12, 0) <= sys.version_info < (3, 12, 2)
"""In these versions `get_coro()` of a task that ended in its eager first step returns NULL: a segmentation fault."""
