"""Coroutines that were never awaited, and the line at which they were dropped. Costs nothing until there is one.

Python calls `warnings._warn_unawaited_coroutine` for each, by that name. A wrapper around it would add a frame to the
stack: `stacklevel` would count it, and a traceback under `-W error` would show it. So the replacement is the same code
with another mapping as its globals, which notes the coroutine when the code looks up `warn`. The warning that the
program sees does not change.
"""

from __future__ import annotations

import sys
import warnings
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ..base import sites
from ..base.task_facts import name_of
from .registry import Hook, Registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

MOST = 200
"""Most coroutines that wait to be reported; further ones are counted."""


class UnawaitedCoroutine:
    """A coroutine that was dropped. `stack` is where, outermost first."""

    __slots__ = ("code", "made_here", "name", "stack")

    def __init__(self, coro: Any, frame: Any) -> None:
        self.name = name_of(coro)
        self.code: CodeType | None = getattr(coro, "cr_code", None)
        self.made_here = False
        self.stack: list[tuple[CodeType, int]] = []
        if frame is not None:
            self.made_here = frame.f_code.co_code[frame.f_lasti] == pop_top()
        while frame is not None and len(self.stack) < 30:
            if sites.plumbing[frame.f_code.co_filename] == sites.BOUNDARY:
                break
            self.stack.append((frame.f_code, frame.f_lineno or frame.f_code.co_firstlineno))
            frame = frame.f_back
        self.stack.reverse()


def is_pythons(function: Any) -> bool:
    """Whether a function is Python's own; a replacement by the program is left alone."""
    return isinstance(function, FunctionType) and sites.is_stdlib(function.__code__.co_filename)


def pop_top() -> int:
    """The instruction that discards the result of an expression."""
    from opcode import opmap

    return opmap["POP_TOP"]


class UnawaitedCoroutines:
    """The coroutines that were dropped since the last look."""

    def __init__(self) -> None:
        self.found: list[UnawaitedCoroutine] = []
        self.lost = 0

    def install(self, registry: Registry) -> None:
        """Installs the hook, if this Python has the function."""
        original = getattr(warnings, "_warn_unawaited_coroutine", None)
        if is_pythons(original):
            registry.add(Hook("never awaited", warnings, "_warn_unawaited_coroutine", self._hook))

    def _hook(self, original: Any) -> Callable[[Any], None]:
        names = _Names(original, self._take)
        return FunctionType(original.__code__, names, original.__name__, original.__defaults__, original.__closure__)

    def _take(self, coro: Any, frame: Any) -> None:
        if len(self.found) >= MOST:
            self.lost += 1
        else:
            self.found.append(UnawaitedCoroutine(coro, frame))


class _Names(dict[str, Any]):
    """The live globals of a function, which note its coroutine when it looks up how to warn."""

    __slots__ = ("_code", "_globals", "_take")

    def __init__(self, function: FunctionType, take: Callable[[Any, Any], None]) -> None:
        super().__init__()
        self._code = function.__code__
        self._globals = function.__globals__
        self._take = take

    def __getitem__(self, name: str) -> Any:
        if name in ("warn", "_wm"):
            try:
                frame: Any = sys._getframe(1)
                if frame.f_code is self._code:
                    self._take(frame.f_locals["coro"], frame.f_back)
            except Exception:
                pass
            finally:
                frame = None
        return self._globals[name]
