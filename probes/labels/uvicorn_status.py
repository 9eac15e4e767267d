"""The status of the responses of uvicorn, which keeps it nowhere.

uvicorn finds the status line of a response in a dictionary of its module. That is exchanged for one with the same items
that notes which status was looked up, for the current task. `send`, the request and its task stay as they are.
"""

from __future__ import annotations

import sys
from asyncio import current_task
from typing import TYPE_CHECKING, Any

from ..base.task_facts import coro_of
from ..hooks.registry import Hook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType

NAME = "status of uvicorn"
_LOOKED_UP = ("STATUS_LINE", "STATUS_PHRASES")
"""Dictionaries by status, of the protocols for httptools and for h11."""
_MOST_KEPT = 1000

noted: dict[int, int] = {}
"""The status of the response until the request ends: by the address of its task, or of its scope if another task
responds."""


def _noting(original: dict[int, Any], request: CodeType, fail: Callable[[str, Exception], None]) -> dict[int, Any]:
    """A dictionary with the same items. `request`: the code of the coroutines of requests."""

    class Noting(dict[int, Any]):
        def __getitem__(self, status: int) -> Any:
            try:
                task = current_task()
                if task is not None:
                    if getattr(coro_of(task), "cr_code", None) is request:
                        noted[id(task)] = status
                    else:
                        _note_of_another(status, sys._getframe(1))
                    if len(noted) > _MOST_KEPT:
                        noted.clear()
            except Exception as error:
                fail(NAME, error)
            return dict.__getitem__(self, status)

    return Noting(original)


def _note_of_another(status: int, frame: Any) -> None:
    """Notes the status for the request whose `send` a task of the application calls."""
    if frame.f_code.co_name == "send":
        noted[id(frame.f_locals["self"].scope)] = status


def hooks(cycle: type, request: CodeType, fail: Callable[[str, Exception], None]) -> Iterator[Hook]:
    """What is to be replaced for the class of a request, unless it is already; `fail` is called with errors."""
    module = sys.modules.get(cycle.__module__)
    for name in _LOOKED_UP:
        found = vars(module).get(name) if module is not None else None
        if type(found) is dict:
            yield Hook(NAME, module, name, lambda original: _noting(original, request, fail))


def take(task: Any, scope: dict[str, Any]) -> int | None:
    """The status of the response to a request that has ended; None if there was none."""
    status = noted.pop(id(task), None)
    return noted.pop(id(scope), None) if status is None else status
