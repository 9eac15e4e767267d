"""Calls of `grpc.aio`: the method, on the server and in a client.

The server's coroutines are compiled and keep the method where Python cannot read it, but it names the task of each
call by it: `HandleExceptions[/package.Service/Method]`.
"""

from __future__ import annotations

from gc import get_referents
from typing import Any

from .held import NAME_OF_TASK

NAME = "grpc.aio"
_PREFIX = "HandleExceptions["


def matches(coro: Any) -> bool:
    """Whether tasks of its code are calls."""
    code = getattr(coro, "cr_code", None)
    if code is None or "grpc" not in code.co_filename:
        return False
    return str(code.co_name) == "_handle_exceptions" or str(code.co_qualname).endswith("Call._invoke")


def source(coro: Any) -> Any:
    """The method, of a client's call; else the name of the task."""
    for one in get_referents(coro):
        if type(one).__module__.startswith("grpc.aio") and type(getattr(one, "_method", None)) is bytes:
            return one._method
    return NAME_OF_TASK


def read(named: Any) -> str | None:
    """`/package.Service/Method`, as bytes or in the name of a task."""
    if isinstance(named, bytes):
        return named.decode("utf-8", "replace")
    return named[len(_PREFIX) : -1] if str(named).startswith(_PREFIX) else None
