"""Stacks of the callback that a loop runs, and its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base import sites

if TYPE_CHECKING:
    from types import CodeType


Stack = tuple[tuple["CodeType", int], ...]
"""Code and line, outermost first."""
MOST_FRAMES = 60


def stack_of(lines: list[tuple[CodeType, int]], depth: int) -> Stack:
    """The stack of a thread above its loop, outermost first, from all of its lines, innermost first.

    `depth` is that of the frame which started the loop. Frames of asyncio and of the probe between it and the callback
    are cut off as well, and those of hooks between an eager task and its creator.
    """
    out = list(lines)
    del out[max(len(out) - depth, 0) :]
    for index, (code, _) in enumerate(out):
        if code is sites.LOOP or (
            sites.plumbing[code.co_filename] == sites.BOUNDARY and code.co_name in ("run", "_run")
        ):
            del out[index:]
            break
    else:
        if out and out[-1][0].co_name in ("run_forever", "select"):
            return ()
    if len(out) == 1 and out[0][0].co_name == "select" and sites.is_stdlib(out[0][0].co_filename):
        # The thread is in the loop itself, between two callbacks.
        return ()
    if all(sites.is_own(code.co_filename) for code, _ in out):
        # The probe is at work between two callbacks: it reports a slow one, or answers a beat.
        return ()
    del out[MOST_FRAMES:]
    return tuple(entry for entry in reversed(out) if not sites.is_hook(entry[0].co_filename))


def describe(callback: Any) -> str:
    """A callback as text: the qualified name of the function. Calls no repr of the program."""
    function = callback
    for _ in range(5):
        inner = getattr(function, "func", None)
        if inner is None:
            break
        function = inner
    name = getattr(function, "__qualname__", None)
    return f"{name}()" if isinstance(name, str) else type(callback).__qualname__
