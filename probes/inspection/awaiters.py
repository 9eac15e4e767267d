"""Which tasks wait for a task, read from its done-callbacks and those of the futures in between."""

from __future__ import annotations

import asyncio
from typing import Any

from ..hooks.reading import callbacks_of, closure_of, hold, hold_all
from . import library_waits


def awaited_by(task: asyncio.Future[Any]) -> list[asyncio.Task[Any]]:
    """The tasks that wait for a task or a future. Only its own done-callbacks are read: the number of tasks is no cost.

    Known are wakeups of tasks, and callbacks of gather, shield, wait, wait_for, as_completed and TaskGroup.
    """
    found: list[asyncio.Task[Any]] = []
    seen: set[int] = set()
    pending: list[Any] = [task]
    while pending and len(seen) < 1000:
        future = pending.pop()
        if id(future) in seen:
            continue
        seen.add(id(future))
        for callback in callbacks_of(future):
            for behind in _waiters_behind(callback):
                if isinstance(behind, asyncio.Task):
                    if behind is not task and all(behind is not other for other in found):
                        found.append(behind)
                else:
                    pending.append(behind)
    return found


def _waiters_behind(callback: Any) -> list[Any]:
    owner: Any = hold(getattr(callback, "__self__", None))
    if isinstance(owner, asyncio.Task):
        return [owner]
    if isinstance(owner, asyncio.TaskGroup):
        parent = hold(owner._parent_task)  # type: ignore[attr-defined]
        return [parent] if parent is not None else []
    if type(owner).__name__ == "_AsCompletedIterator":  # 3.13 and later
        return _getters(hold(owner._done))
    name = getattr(callback, "__qualname__", "")
    closure = closure_of(callback)
    host = library_waits.host_of(callback, closure)
    if host is not None:
        return [host]
    if name.startswith(("gather.", "shield.")):
        return [closure[key] for key in ("outer",) if isinstance(closure.get(key), asyncio.Future)]
    if name.startswith(("_wait.", "wait_for.", "_cancel_and_wait.")):
        return [closure[key] for key in ("waiter",) if isinstance(closure.get(key), asyncio.Future)]
    if name.startswith("as_completed."):
        return _getters(closure.get("done"))
    arguments = hold(getattr(callback, "args", None))  # functools.partial(_release_waiter, waiter)
    if isinstance(arguments, tuple) and arguments and isinstance(arguments[0], asyncio.Future):
        return [hold(arguments[0])]
    return []


def _getters(queue: Any) -> list[Any]:
    return [future for future in hold_all(list(getattr(queue, "_getters", None) or ())) if not future.done()]
