"""Finds the objects that a coroutine refers to: its arguments and local variables, without their names.

Never by `f_locals` of its frame, which would keep copies of them alive.
"""

from __future__ import annotations

from gc import get_referents
from types import CodeType, CoroutineType
from typing import TYPE_CHECKING, Any

from ..base.stacks import attribute_in_c

if TYPE_CHECKING:
    from collections.abc import Iterator

LATER: Any = object()
"""A source that is not known yet, so it is searched again after each step."""


NAME_OF_TASK: Any = object()
"""A source: the name of the task."""


def held(coro: Any, name: str, module: str) -> Any:
    """The first object whose class has this name and whose module begins so; None if there is none."""
    for one in get_referents(coro):
        kind = type(one)
        if kind.__name__ == name and str(kind.__module__).startswith(module):
            return one
    return None


def code_of(coro: Any) -> CodeType | None:
    """The code of a coroutine; None for what only looks like one: asking it would run code of the program."""
    code = coro.cr_code if type(coro) is CoroutineType else attribute_in_c(coro, "cr_code")
    return code if type(code) is CodeType else None


def of_function(coro: Any, qualname: str, package: str) -> bool:
    """Whether a coroutine belongs to a function, given the end of its qualified name and a part of its file's path."""
    code = code_of(coro)
    return code is not None and code.co_qualname.endswith(qualname) and package in code.co_filename


def texts(coro: Any) -> Iterator[bytes]:
    """The bytes that a coroutine refers to, directly or as `data` of an object."""
    for one in get_referents(coro):
        found = one if type(one) is bytes else getattr(one, "data", None)
        if type(found) is bytes:
            yield found
