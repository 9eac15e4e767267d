"""Decorators that open the debugger where asyncio makes it hard: `break_before`, `break_after`, `break_on_error`.

    @probes.break_on_error
    async def handler(request): ...

    LOOPTOP_DEBUG=1 python app.py

Without `LOOPTOP_DEBUG=1` in the environment each of them returns the function itself. With it, the debugger is the one
of `breakpoint()`: pdb, or what PYTHONBREAKPOINT says, where `0` switches it off (PEP 553). It holds the whole event
loop, as every debugger does. Functions, coroutine functions, generators and asynchronous generators keep their kind,
name and signature; of a generator, before is its first step, and after is its end.
"""

from __future__ import annotations

import os
import sys
from functools import wraps
from importlib import import_module
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

F = TypeVar("F")

BEFORE, AFTER, ON_ERROR = "before", "after", "on_error"


def break_before(function: F) -> F:
    """Opens the debugger before each call: `args` and `kwargs` are there, `s` steps into the function."""
    decorated: F = _decorate(function, BEFORE)
    return decorated


def break_after(function: F) -> F:
    """Opens the debugger after each call that returned: `result`, `args` and `kwargs` are there."""
    decorated: F = _decorate(function, AFTER)
    return decorated


def break_on_error(function: F) -> F:
    """Opens the debugger in the frame that raised, before the exception goes on to the caller.

    What ends tasks and programs in an orderly way (a cancellation, KeyboardInterrupt, SystemExit) is no error.
    """
    decorated: F = _decorate(function, ON_ERROR)
    return decorated


def _decorate(function: Any, when: str) -> Any:
    if os.environ.get("LOOPTOP_DEBUG") != "1":
        return function
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(_decorate(function.__func__, when))
    if iscoroutinefunction(function):
        return _coroutine(function, when)
    if isasyncgenfunction(function):
        return _async_generator(function, when)
    if isgeneratorfunction(function):
        return _generator(function, when)
    return _function(function, when)


def _post_mortem(error: BaseException) -> None:
    """Opens the debugger on the traceback if it has a function for that, else here, with `error` as a local."""
    wanted = os.environ.get("PYTHONBREAKPOINT") or "pdb.set_trace"
    if wanted == "0":
        return
    post_mortem = _post_mortem_of(wanted.rpartition(".")[0])
    if post_mortem is None:
        sys.breakpointhook()
    else:
        sys.stderr.write(f"looptop: {type(error).__name__}: {error}\n")
        post_mortem(error.__traceback__)


def _post_mortem_of(module: str) -> Any:
    """The `post_mortem` of the debugger: pdb, ipdb, pudb and others have one. Python warns of failed imports."""
    if sys.breakpointhook is not sys.__breakpointhook__:
        return None
    try:
        return getattr(import_module(module), "post_mortem", None)
    except Exception:
        return None


def _function(function: Any, when: str) -> Any:
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            if when == BEFORE:
                sys.breakpointhook()
            result = function(*args, **kwargs)  # s steps in
        except Exception as error:
            if when == ON_ERROR:
                _post_mortem(error)
            raise
        if when == AFTER:
            sys.breakpointhook()
        return result

    return wrapper


def _coroutine(function: Any, when: str) -> Any:
    @wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            if when == BEFORE:
                sys.breakpointhook()
            result = await function(*args, **kwargs)  # s in the debugger steps in
        except Exception as error:
            if when == ON_ERROR:
                _post_mortem(error)
            raise
        if when == AFTER:
            sys.breakpointhook()
        return result

    return wrapper


def _generator(function: Any, when: str) -> Any:
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        try:
            if when == BEFORE:
                sys.breakpointhook()
            result = yield from function(*args, **kwargs)  # s steps in
        except Exception as error:
            if when == ON_ERROR:
                _post_mortem(error)
            raise
        if when == AFTER:
            sys.breakpointhook()
        return result

    return wrapper


def _async_generator(function: Any, when: str) -> Any:
    @wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        if when == BEFORE:
            sys.breakpointhook()
        generator = function(*args, **kwargs)
        try:
            value = await generator.asend(None)
            while True:
                try:
                    sent = yield value
                except GeneratorExit:
                    await generator.aclose()
                    raise
                except BaseException as thrown:
                    value = await generator.athrow(thrown)
                else:
                    value = await generator.asend(sent)
        except StopAsyncIteration:
            pass
        except Exception as error:
            if when == ON_ERROR:
                _post_mortem(error)
            raise
        if when == AFTER:
            sys.breakpointhook()

    return wrapper
