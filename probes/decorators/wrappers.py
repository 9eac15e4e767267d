"""Wraps a function of any kind in one of the same kind that measures each step of each call."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator
    from typing import Self

    Begin = Callable[[], "Call"]


class Call(Protocol):
    """One call while it runs."""

    def enter(self) -> None:
        """Called before every step of the coroutine or generator."""

    def leave(self) -> None:
        """Called after every step, also one that raised."""

    def __enter__(self) -> Self:
        """Called before the whole call."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        """The call is over; what was raised goes on."""


class _Steps:
    """Drives a coroutine, or an awaitable of an async generator, and measures each step.

    It has the attributes of a coroutine, so that await stacks can be walked through it.
    """

    __slots__ = ("_call", "_inner", "_iterator")

    def __init__(self, inner: Any, call: Call) -> None:
        self._inner = inner
        self._iterator = inner if hasattr(inner, "send") else inner.__await__()
        self._call = call

    def __await__(self) -> Any:
        return self

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        """Run one step between `enter` and `leave`."""
        self._call.enter()
        try:
            return self._iterator.send(value)
        finally:
            self._call.leave()

    def throw(self, *error: Any) -> Any:
        """Runs one step that starts with an exception, such as a cancellation."""
        self._call.enter()
        try:
            return self._iterator.throw(*error)
        finally:
            self._call.leave()

    def close(self) -> None:
        """Closes the inner coroutine."""
        self._iterator.close()

    @property
    def cr_frame(self) -> Any:
        """The frame of the coroutine."""
        return getattr(self._inner, "cr_frame", None)

    @property
    def cr_code(self) -> Any:
        """The code of the coroutine."""
        return getattr(self._inner, "cr_code", None)

    @property
    def cr_await(self) -> Any:
        """The object that the inner coroutine awaits."""
        return self._inner.cr_await if hasattr(self._inner, "cr_await") else self._inner

    @property
    def cr_running(self) -> bool:
        """Whether a step is running."""
        return bool(getattr(self._inner, "cr_running", False))


def _coroutine(function: Any, begin: Begin) -> Any:
    @wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with begin() as call:
            return await _Steps(function(*args, **kwargs), call)

    return wrapper


def _async_generator(function: Any, begin: Begin) -> Any:
    @wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        call = begin()
        generator = function(*args, **kwargs)
        with call:
            step = generator.asend(None)
            while True:
                try:
                    value = await _Steps(step, call)
                except StopAsyncIteration:
                    return
                try:
                    step = generator.asend((yield value))
                except GeneratorExit:
                    await _Steps(generator.aclose(), call)
                    raise
                except BaseException as thrown:
                    step = generator.athrow(thrown)

    return wrapper


def _generator(function: Any, begin: Begin) -> Any:
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with begin() as call:
            result: Any = yield from _Steps(function(*args, **kwargs), call)
        return result

    return wrapper


def _function(function: Any, begin: Begin) -> Any:
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with begin() as call:
            call.enter()
            try:
                return function(*args, **kwargs)
            finally:
                call.leave()

    return wrapper


_SHAPES: tuple[tuple[str, Callable[[Any], bool], Callable[[Any, Begin], Any]], ...] = (
    ("coroutine function", inspect.iscoroutinefunction, _coroutine),
    ("async generator function", inspect.isasyncgenfunction, _async_generator),
    ("generator function", inspect.isgeneratorfunction, _generator),
    ("function", lambda function: True, _function),
)


def shape(function: Any) -> str:
    """Which kind of function it is, in words."""
    return next(name for name, fits, _ in _SHAPES if fits(function))


def wrapped(function: Any, begin: Begin) -> Any:
    """A wrapper that calls the function and measures each call."""
    return next(make for _, fits, make in _SHAPES if fits(function))(function, begin)
