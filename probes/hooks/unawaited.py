"""Coroutines that were never awaited: who, and at which line they were dropped. Costs nothing until there is one.

Python calls `warnings._warn_unawaited_coroutine` for each, by that name. A function in its place that called it would
stand on the stack between it and the program: `stacklevel` would count it, and a traceback of `-W error` would show
it. So what stands there is the same code with another view of its globals, which notes the coroutine when the code
looks up what it warns with. What the program sees and prints stays as it is, to the letter.
"""

from __future__ import annotations

import sys
import warnings
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ..base import sites
from .records import name_of
from .registry import Hook, Registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

MOST = 200
"""That wait to be told; what comes beyond is counted."""


class Unawaited:
    """A coroutine that was dropped. `stack` is where, outermost first, the innermost last."""

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
    """Whether it is Python's own, and not what somebody has put in its place: that is left alone."""
    return isinstance(function, FunctionType) and sites.is_stdlib(function.__code__.co_filename)


def pop_top() -> int:
    """The instruction that drops the result of an expression that nobody uses."""
    from opcode import opmap

    return opmap["POP_TOP"]


class Unawaiteds:
    """What was dropped since it was last asked for."""

    def __init__(self) -> None:
        self.found: list[Unawaited] = []
        self.lost = 0

    def install(self, registry: Registry) -> None:
        """Puts the hook in, where Python still has what it takes the place of."""
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
            self.found.append(Unawaited(coro, frame))


class _Names(dict[str, Any]):
    """The globals of a function, as they are now; when it looks up how to warn, its coroutine is noted."""

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
