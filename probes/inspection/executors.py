"""Executors of concurrent.futures with running workers: the number of workers, and the queued jobs."""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any

from .queues import MOST_ROWS, MOST_TEXT

if TYPE_CHECKING:
    from .queues import ObjectIds


def threads_of(module: str, registry: str) -> list[Any]:
    """The threads in a registry of a module of concurrent.futures."""
    known = getattr(sys.modules.get(f"concurrent.futures.{module}"), registry, None)
    # Not by iterating over the WeakKeyDictionary itself, in Python: the program may start a thread meanwhile.
    refs = list(getattr(known, "data", ()))
    return [thread for ref in refs if (thread := ref()) is not None]


def rows_of(numbers: ObjectIds, waited: float) -> list[list[Any]]:
    """The executors, found in the thread registry of concurrent.futures; `waited` is how long jobs have waited (s)."""
    rows: dict[int, list[Any]] = {}
    pools: dict[int, Any] = {}
    for thread in threads_of("thread", "_threads_queues"):
        arguments = getattr(thread, "_args", None)
        pool = arguments[0]() if arguments and isinstance(arguments[0], weakref.ref) else None
        if pool is not None:
            pools[id(pool)] = pool
    for pool in pools.values():
        try:
            label = pool._thread_name_prefix
            facts = [len(pool._threads), pool._max_workers, pool._work_queue.qsize()]
            rows[id(pool)] = [numbers.of(pool), "thread", str(label)[:MOST_TEXT], *facts]
        except Exception:
            continue
    for thread in threads_of("process", "_threads_wakeups"):
        try:
            pool = thread.executor_reference()
            pending, running = len(thread.pending_work_items), thread.work_ids_queue.qsize()
            workers = pool._max_workers
            facts = [len(pool._processes or ()), workers, max(pending - workers, running, 0)]
            rows[id(pool)] = [numbers.of(pool), "process", "ProcessPoolExecutor", *facts]
        except Exception:
            continue
    return [[*row, round(waited * 1e6)] for row in list(rows.values())[:MOST_ROWS]]
