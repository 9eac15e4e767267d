"""The await stack of a task: the chain of frames from its coroutine down to what it waits on. By reading only.

Coroutines and generators name what they await (`cr_await`, `gi_yieldfrom`). The awaitables in between do not
(`async_generator_asend` and `anext` of CPython 3.11 to 3.14, `coroutine_wrapper` of CPython and of Cython, the iterator
of a future), but the garbage collector visits the objects they hold, so `gc.get_referents` finds the next one. No code
of the program runs.

May be called from any thread; a change in the meantime ends the walk, never the program.
"""

from __future__ import annotations

import gc
from asyncio import futures
from types import (
    AsyncGeneratorType,
    CodeType,
    CoroutineType,
    GeneratorType,
    GetSetDescriptorType,
    MemberDescriptorType,
)
from typing import Any

MOST_FRAMES = 100

StackFrame = tuple[CodeType, int, Any]
"""Code, line and the frame itself."""


def frames_of(awaitable: Any) -> list[StackFrame]:
    """The frames of a coroutine and of what it awaits, outermost first."""
    out: list[StackFrame] = []
    try:
        _walk(awaitable, out)
    except Exception:  # a coroutine or awaitable class of the program fails to answer: what is known until there
        return out
    return out


def _walk(awaitable: Any, out: list[StackFrame]) -> None:
    frame: Any
    code: Any
    inner: Any
    for _ in range(MOST_FRAMES):
        if isinstance(awaitable, CoroutineType):
            frame, code, inner = awaitable.cr_frame, awaitable.cr_code, awaitable.cr_await
        elif isinstance(awaitable, GeneratorType):
            frame, code, inner = awaitable.gi_frame, awaitable.gi_code, awaitable.gi_yieldfrom
        elif isinstance(awaitable, AsyncGeneratorType):
            frame, code, inner = awaitable.ag_frame, awaitable.ag_code, awaitable.ag_await
        elif hasattr(awaitable, "cr_frame") and hasattr(awaitable, "cr_await"):  # a coroutine of Cython
            frame, code, inner = awaitable.cr_frame, getattr(awaitable, "cr_code", None), awaitable.cr_await
        else:
            awaitable = _behind(awaitable)
            if awaitable is None:
                return
            continue
        if frame is not None and isinstance(code, CodeType):
            out.append((code, frame.f_lineno or code.co_firstlineno, frame))
        if inner is None:
            return
        awaitable = inner


def _behind(awaitable: Any) -> Any:
    """The next awaitable in the chain, for types that do not name it; None at the end of the chain."""
    if awaitable is None or isinstance(awaitable, futures.Future) or type(awaitable).__name__ == "FutureIter":
        return None
    module = type(awaitable).__module__
    if type(awaitable).__name__ == "coroutine_wrapper" and module.startswith("_cython_"):
        return next((held for held in gc.get_referents(awaitable) if not isinstance(held, type)), None)
    if module not in ("builtins", "_asyncio", "types"):
        return None
    for held in gc.get_referents(awaitable):
        if isinstance(held, (AsyncGeneratorType, CoroutineType, GeneratorType)):
            return held
    return None


_mro = type.__dict__["__mro__"].__get__
_attributes = type.__dict__["__dict__"].__get__
"""Of a class, without code of its metaclass."""


def attribute_in_c(thing: Any, name: str) -> Any:
    """An attribute that the class of an object has in C; None for any other, which might be code of the program."""
    for base in _mro(type(thing)):
        found = _attributes(base).get(name)
        if found is not None:
            return found.__get__(thing) if type(found) in (GetSetDescriptorType, MemberDescriptorType) else None
    return None


def closure_of(function: Any) -> dict[str, Any]:
    """The variables that a function closes over."""
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None)
    if code is None or cells is None:
        return {}
    found = {}
    for name, cell in zip(code.co_freevars, cells, strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    return found
