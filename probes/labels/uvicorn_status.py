"""The status of the responses of uvicorn, which keeps it nowhere.

uvicorn finds the status line of a response in a dictionary of its module. That is exchanged for one with the same items
that notes which status was looked up for the request of the current task. `send`, the request and its task stay as
they are.
"""

from __future__ import annotations

import sys
from asyncio import current_task
from typing import TYPE_CHECKING, Any

from ..hooks import accounting
from ..hooks.registry import Hook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "status of uvicorn"
_LOOKED_UP = ("STATUS_LINE", "STATUS_PHRASES")
"""Dictionaries by status, of the protocols for httptools and for h11."""
_REQUEST = "RequestResponseCycle.run_asgi"
_MOST_KEPT = 1000

noted: dict[int, int] = {}
"""The status of the response by the address of the scope, until the task of the request ends."""


class _Noting(dict[int, Any]):
    """Items by status, which notes the status for the request whose response begins."""

    fail: Callable[[str, Exception], None]

    def __getitem__(self, status: int) -> Any:
        try:
            _note(status)
        except Exception as error:
            self.fail(NAME, error)
        return dict.__getitem__(self, status)


def _note(status: int) -> None:
    task = current_task()
    if task is None:
        return  # the server refuses what is no request
    record = accounting.record_of(task)
    if record is not None and record.group is not None and record.group.coro == _REQUEST:
        scope = record.source
    else:  # a task that the application made sends the response
        frame: Any = sys._getframe(2)
        scope = frame.f_locals["self"].scope if frame.f_code.co_name == "send" else None
    if type(scope) is not dict:
        return
    if len(noted) >= _MOST_KEPT:
        noted.clear()
    noted[id(scope)] = status


def hooks(cycle: type, fail: Callable[[str, Exception], None]) -> Iterator[Hook]:
    """What is to be replaced for the class of a request, unless it is already; `fail` is called with errors."""
    module = sys.modules.get(cycle.__module__)
    for name in _LOOKED_UP:
        found = vars(module).get(name) if module is not None else None
        if type(found) is dict:

            def make(original: dict[int, Any]) -> _Noting:
                noting = _Noting(original)
                noting.fail = fail
                return noting

            yield Hook(NAME, module, name, make)


def take(scope: dict[str, Any]) -> int | None:
    """The status of the response to a request that has ended; None if there was none."""
    return noted.pop(id(scope), None)
