"""Finds the task that asked for the job that an executor's thread runs (concurrent.futures, anyio).

The sampling thread sees an identity of the job and its function. Which task waits for it is read under the GIL, for the
jobs that run at the time of a look. A shorter job is attributed to the group of the task that last asked for its
function.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from ..hooks import reading
from ..hooks.accounting import record_of
from ..hooks.reading import hold
from ..inspection.awaiters import awaited_by
from ..inspection.executors import threads_of
from ..inspection.threads import future_of_job

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

    from ..hooks.records import TaskRecord

EVERY = 0.1
"""Seconds between two looks at running jobs."""
MOST = 64
AT_ONCE = 10
"""Limit of threads per look: with hooks in Python, frames must be released before the GIL is."""
MOST_FUNCTIONS = 2000

EXECUTORS = "/concurrent/futures/"
"""Part of the path of files between a thread and its job."""

Asker = tuple[int, int, int, int]
"""Id of a task, its group and label (strings), and its creation site."""
NOBODY: Asker = (0, 0, 0, 0)


class Jobs:
    """The tasks that asked for the jobs in threads of executors."""

    def __init__(self, describe: Callable[[TaskRecord], Asker]) -> None:
        self._describe = describe
        self._running: dict[tuple[int, int], Asker] = {}  # by thread and identity of the job
        self._before: dict[tuple[int, int], Asker] = {}  # the same at the previous look
        self._by_function: dict[tuple[str, str], Asker] = {}
        self._next = 0

    def clear(self) -> None:
        """Drops everything that is known."""
        self._running.clear()
        self._before.clear()
        self._by_function.clear()

    def codes(self) -> list[tuple[CodeType, int]]:
        """The functions that run jobs, and which of their variables identifies the job."""
        pool, anyio = sys.modules.get("concurrent.futures.thread"), sys.modules.get("anyio._backends._asyncio")
        found = []
        for module, name, variable in ((pool, "_WorkItem", "self"), (anyio, "WorkerThread", "future")):
            code = getattr(getattr(getattr(module, name, None), "run", None), "__code__", None)
            if code is not None and variable in code.co_varnames:
                found.append((code, code.co_varnames.index(variable)))
        return found

    def threads(self) -> list[int]:
        """Identities of the threads of executors."""
        known = threads_of("thread", "_threads_queues")
        worker = getattr(sys.modules.get("anyio._backends._asyncio"), "WorkerThread", None)
        if worker is not None:
            active = list(getattr(sys.modules.get("threading"), "_active", {}).values())
            known += [thread for thread in active if type(thread) is worker]
        idents = [getattr(thread, "_ident", None) for thread in known]
        return [ident for ident in idents if type(ident) is int][:MOST]

    def look(self, threads: list[int]) -> None:
        """Finds out which tasks wait for the running jobs. Keeps nothing of the program."""
        reading.read_any(self._look, threads)

    def _look(self, threads: list[int]) -> None:
        if len(threads) > AT_ONCE:
            first = self._next = self._next % len(threads)
            self._next += AT_ONCE
            threads = [*threads[first:], *threads[:first]][:AT_ONCE]
        else:
            self._before, self._running = self._running, {}
        codes = dict(self.codes())
        frames = reading.frames_of_others() if threads else {}
        for ident in threads:
            frame, inner = frames.get(ident), None
            while frame is not None and frame.f_code not in codes:
                inner = frame.f_code if EXECUTORS not in frame.f_code.co_filename else inner
                frame = hold(frame.f_back)
            if frame is None or inner is None:
                continue
            variable = frame.f_code.co_varnames[codes[frame.f_code]]
            asker = self._asker(frame)
            if len(self._running) >= MOST_FUNCTIONS:
                self._running.clear()
            self._running[ident, id(hold(frame.f_locals.get(variable)))] = asker
            if asker[0]:
                if len(self._by_function) >= MOST_FUNCTIONS:
                    self._by_function.clear()
                self._by_function[inner.co_filename, inner.co_qualname] = asker

    def _asker(self, frame: Any) -> Asker:
        waited = future_of_job(frame)
        tasks = awaited_by(waited) if isinstance(waited, asyncio.Future) else []
        record = record_of(tasks[0]) if tasks else None
        return NOBODY if record is None else self._describe(record)

    def asker(self, thread: int, job: int, function: tuple[str, str]) -> Asker:
        """The task that asked for a sampled job; its id is 0 if only the function is known."""
        now, before = self._running.get((thread, job)), self._before.get((thread, job))
        found = now or before
        if found is not None and found[0] and (now is None or before is None or now == before):
            return found  # otherwise two jobs had the same address
        return (0, *self._by_function.get(function, NOBODY)[1:])
