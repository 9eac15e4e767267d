"""The threads of the program: CPU time, state, stack, and the job of an executor with the task that asked for it.

Only while the GIL is held are frames looked at, and none is kept when it is given up: a thread that let go of the last
reference to something of the program would run its finalizers.
"""

from __future__ import annotations

import asyncio
import os
import sys
from _thread import get_native_id
from contextvars import Context
from functools import partial
from time import monotonic, sleep
from types import BuiltinFunctionType, BuiltinMethodType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from ..base import sites
from ..base.task_facts import coro_name, task_name
from ..base.turns import PAUSE, turns
from ..base.validation import BadRequestError
from ..hooks import reading
from ..hooks.backend import FREE_THREADED
from ..hooks.reading import closure_of, hold, hold_all
from ..sampling.gil_wait import GIL, clock_of
from .awaiters import awaited_by
from .detail import number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..base.sites import Tables

MOST_THREADS = 500
MOST_FRAMES = 100
MOST_TEXT = 300
AT_ONCE = 10
"""Threads whose stacks are read before giving up the GIL for a moment."""

_TASKS = "/proc/self/task"
_STATES = {"R": "running", "S": "sleeping", "D": "uninterruptible", "T": "stopped", "t": "stopped"}
_WORK_ITEM, _ANYIO = "_WorkItem.run", "WorkerThread.run"


class Seen:
    """What a look found, for the next one: a thread that has slept ever since is still where it was."""

    __slots__ = ("rows",)

    def __init__(self) -> None:
        self.rows: dict[int, tuple[str, dict[str, Any]]] = {}
        """By the kernel's number: its scheduling counts, and its row."""


def read(
    own: set[int],
    doing: Callable[[int], str],
    tables: Tables,
    held: dict[int, float] | None = None,
    seen: Seen | None = None,
    most: int = MOST_THREADS,
) -> dict[str, Any]:
    """The `threads` of a reply; of more than `most` threads the main thread and others.

    `own`: identities of the probe's threads; `doing`: see `Gil.asleep_in`; `held`: seconds for which each had the GIL;
    `seen`: of the look before, is brought up to date.
    """
    try:
        natives = sorted(int(name) for name in os.listdir(_TASKS))
    except OSError:
        raise BadRequestError("threads are read from /proc, which is not there") from None
    threads = _natives(own)
    mine = {get_native_id(), *(native for ident, native in threads.items() if ident in own)}
    found: dict[int, dict[str, Any]] = {}
    theirs = [native for native in natives if native not in mine]
    theirs.sort(key=os.getpid().__ne__)
    before = {} if seen is None else seen.rows
    counts: dict[int, str] = {}
    changed = []
    for native in turns.over(theirs[:most]):
        counts[native] = ran = _text(native, "schedstat")  # before its stack: if it runs now, the next look sees that
        row = _as_before(before.get(native), ran)
        if row is None:
            row = _from_kernel(native, ran, doing)
            changed.append(native)
        if row is not None:
            found[native] = row
    idents = {native: ident for ident, native in threads.items()}
    shown = [(idents[native], native) for native in changed if native in found and native in idents]
    for start in range(0, len(shown), AT_ONCE):
        reading.read_any(_look, shown[start : start + AT_ONCE], found, tables)
        turns.give()
    rows = list(found.values())
    if seen is not None:
        seen.rows = {native: (counts[native], row) for native, row in found.items()}
    for row in rows:
        if held is not None and row["ident"] is not None:
            row["gil"] = round(held.get(row["ident"], 0.0) * 1e6)
    return {"at": round(monotonic() * 1e6), "rows": rows, "more": max(len(theirs) - most, 0)}


def _as_before(seen: tuple[str, dict[str, Any]] | None, ran: str) -> dict[str, Any] | None:
    """The row of a thread that has not run since it was seen asleep; None if it may have. Who waits for a job may
    change without that."""
    if seen is None or not ran or seen[0] != ran or seen[1]["state"] != "sleeping" or seen[1]["job"] is not None:
        return None
    return {**seen[1], "read": round(monotonic() * 1e6)}


def _natives(own: set[int]) -> dict[int, int]:
    """The number that the kernel has for each thread with Python frames.

    For those that `threading` does not know it is in the number of their CPU clock, which may only be asked for while
    the thread cannot end: without giving up the GIL.
    """
    known, main = _known(), getattr(sys.modules.get("threading"), "_main_thread", None)
    found: dict[int, int] = {}
    unknown = []
    for ident in reading.threads():
        thread = known.get(ident)
        native = os.getpid() if thread is not None and thread is main else getattr(thread, "_native_id", None)
        if type(native) is int:
            found[ident] = native
        elif ident in own or not FREE_THREADED:
            unknown.append(ident)
    if unknown:
        sleep(PAUSE)  # from now on the GIL is ours for 5 ms
        for ident in reading.threads():
            clock = clock_of(ident) if ident in unknown else None
            if clock is not None:
                found[ident] = ~(clock >> 3)
    return found


def _known() -> dict[int, Any]:
    """The threads that `threading` knows, by identity."""
    found: dict[int, Any] = getattr(sys.modules.get("threading"), "_active", {})
    return found


def _from_kernel(native: int, ran: str, doing: Callable[[int], str]) -> dict[str, Any] | None:
    """What the kernel knows of a thread, with its `schedstat`; None if it has ended."""
    stat = _text(native, "stat")
    name, _, rest = stat.partition("(")[2].rpartition(")")
    words = rest.split()
    if len(words) < 13:
        return None
    queued: int | None = None
    try:
        spent, queued = (int(word) // 1000 for word in ran.split()[:2])
    except ValueError:
        spent = round((int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK") * 1e6)
    state = _STATES.get(words[0], "ended")
    if state == "sleeping" and doing(native) == GIL:
        state = "running"  # it is this thread that it waits for, or another one that runs Python
    row: dict[str, Any] = {"native": native, "ident": None, "name": name[:MOST_TEXT], "daemon": None}
    row |= {"cpu": spent, "queued": queued, "read": round(monotonic() * 1e6), "state": state, "gil": None}
    return row | {"stack": [], "at": -1, "job": None}


def _text(native: int, name: str) -> str:
    try:
        file = os.open(f"{_TASKS}/{native}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(file, 1000).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(file)


def _look(threads: list[tuple[int, int]], found: dict[int, dict[str, Any]], tables: Tables) -> None:
    """Adds what the interpreter knows of some threads. Keeps nothing of the program."""
    frames = reading.frames_of_others()
    known = _known()
    for ident, native in threads:
        frame = frames.get(ident)
        if frame is None:
            continue
        row = found[native]
        row["ident"] = ident
        thread = known.get(ident)
        name, daemon = getattr(thread, "_name", None), getattr(thread, "_daemonic", None)
        if type(name) is str:
            row["name"] = name[:MOST_TEXT]
        row["daemon"] = daemon if type(daemon) is bool else None
        if FREE_THREADED:  # frames of a thread that runs meanwhile cannot be read
            continue
        stack: list[tuple[Any, int]] = []
        outermost = ""
        while frame is not None:
            code = frame.f_code
            if len(stack) < MOST_FRAMES:
                stack.append((code, frame.f_lineno or 0))
            if row["job"] is None and code.co_qualname in (_WORK_ITEM, _ANYIO):
                row["job"] = _job(frame, tables)
            outermost, frame = code.co_filename, hold(frame.f_back)
        if thread is None and (outermost.startswith("<looptop>/") or sites.is_own(outermost)):
            del found[native]  # one of this probe, or of an earlier one, that just began or leaves
            continue
        stack.reverse()
        row["stack"] = [tables.site(code, line) for code, line in stack]
        row["at"] = sites.blamed(stack)


def _job(frame: Any, tables: Tables) -> dict[str, Any] | None:
    """The job that runs in a frame of an executor (concurrent.futures, anyio); None if it is none."""
    file, values = frame.f_code.co_filename, frame.f_locals
    if frame.f_code.co_qualname == _ANYIO:
        if "/anyio/" not in file:
            return None
        function = hold(values.get("func"))
    elif file.endswith("/concurrent/futures/thread.py"):
        item = hold(values.get("self"))
        work = hold(getattr(item, "task", None))  # since 3.14 a tuple
        function = hold(work[0] if isinstance(work, tuple) and work else getattr(item, "fn", None))
    else:
        return None
    if function is None:
        return None  # a thread of anyio that waits for its next job
    for _ in range(10):
        if type(function) is not partial:
            break
        inner, made = function.func, function.args
        # What asyncio.to_thread makes: partial(context.run, function).
        to_thread = type(inner) is BuiltinMethodType and type(inner.__self__) is Context and made
        function = made[0] if to_thread else inner
    if type(function) is MethodType:
        function = function.__func__
    code = function.__code__ if type(function) is FunctionType else None
    # Of any other object nothing is read but its type: an attribute may be code of the program.
    name = function.__qualname__ if type(function) in (FunctionType, BuiltinFunctionType) else None
    job: dict[str, Any] = {
        "function": name[:MOST_TEXT] if type(name) is str else type(function).__name__,
        "site": tables.site(code, code.co_firstlineno) if code is not None else 0,
        "task": None,
    }
    waited = future_of_job(frame)
    tasks = awaited_by(waited) if isinstance(waited, asyncio.Future) else []
    if tasks:
        number = number_of(tasks[0])
        job["task"] = {"id": number, "name": task_name(tasks[0])[:MOST_TEXT], "coro": coro_name(tasks[0])[:MOST_TEXT]}
    return job


def future_of_job(frame: Any) -> Any:
    """The future of asyncio that gets the result of the job that runs in a frame of an executor; None: none known."""
    values = frame.f_locals
    if frame.f_code.co_qualname == _ANYIO:
        return hold(values.get("future"))
    return _asked_by(hold(getattr(hold(values.get("self")), "future", None)))


def _asked_by(future: Any) -> Any:
    """The future of asyncio that gets the result of one of concurrent.futures."""
    for callback in hold_all(list(getattr(future, "_done_callbacks", None) or ())):
        found = closure_of(callback).get("destination")
        if found is not None:
            return found
    return None
