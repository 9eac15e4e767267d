"""Labels calls to a server of `grpc.aio` by method.

Its coroutines are compiled and the method in them is not readable, but the name of each call's task contains it:
`HandleExceptions[/package.Service/Method]`. Calls of a client have no such name, and no label.
"""

from __future__ import annotations

from typing import Any

from .held import NAME_OF_TASK, code_of

NAME = "grpc.aio"
_PREFIX = "HandleExceptions["


def matches(coro: Any) -> bool:
    """Whether tasks of its code are calls."""
    code = code_of(coro)
    return code is not None and code.co_name == "_handle_exceptions" and "grpc" in code.co_filename


def source(coro: Any) -> Any:  # noqa: ARG001
    """The name of the task."""
    return NAME_OF_TASK


def read(name: str) -> str | None:
    """The method in the task's name: `/package.Service/Method`."""
    return name[len(_PREFIX) : -1] if name.startswith(_PREFIX) else None
