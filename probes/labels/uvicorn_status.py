"""The status of the responses of uvicorn, which keeps it nowhere.

uvicorn finds the status line of a response in a dictionary of its module. That is exchanged for one with the same items
that notes which status was looked up, for the current task (in C where the hooks are: native/noting.c). `send`, the
request and its task stay as they are.
"""

from __future__ import annotations

import sys
from asyncio import _get_running_loop, current_task
from typing import TYPE_CHECKING, Any

from ..base.task_facts import coro_of
from ..hooks import backend
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

    def note(status: int) -> None:
        try:
            task = None if _get_running_loop() is None else current_task()
            if task is not None:
                if getattr(coro_of(task), "cr_code", None) is request:
                    noted[id(task)] = status
                else:
                    _note_of_another(status, sys._getframe(depth))
                if len(noted) > _MOST_KEPT:
                    noted.clear()
        except Exception as error:
            fail(NAME, error)

    in_c = backend.native is not None
    depth = 1 if in_c else 2
    replacement: Any = (_noting_in_c if in_c else _noting_in_python)(note)
    found: dict[int, Any] = replacement(original)
    if in_c:  # `note` is called unless a request runs that the hooks know
        replacement.note_in(found, backend.shared, noted, _get_running_loop, note)
    return found


def _reduce(self: dict[int, Any], _protocol: Any) -> tuple[Any, ...]:
    """Pickled and copied as the dictionary that it stands for."""
    return dict, (dict(self),)


def _noting_in_c(_note: Callable[[int], None]) -> Any:
    return type("Noting", (backend.native.Noting,), {"__reduce_ex__": _reduce})


def _noting_in_python(note: Callable[[int], None]) -> Any:
    class Noting(dict[int, Any]):
        def __getitem__(self, status: int) -> Any:
            found = dict.__getitem__(self, status)
            note(status)
            return found

        __reduce_ex__ = _reduce

    return Noting


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
