"""Threads as `looptop threads --json` prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.plain.objects import Object, rounded, seconds, site_object, stack

if TYPE_CHECKING:
    from monitor.store.store import Store
    from monitor.store.threads import Thread


def threads_object(store: Store) -> Object:
    """The object that `looptop threads --json` prints. Stacks are outermost first."""
    threads = store.threads
    return {
        "time": seconds(threads.time),
        "duration": rounded(threads.seconds),
        "cpu": rounded(threads.cpu),
        "cpu_of_loops": rounded(threads.cpu_of_loops),
        "threads": [_object(row) for row in threads.rows],
        "more": threads.more,
    }


def _object(row: Thread) -> Object:
    facts, job = row.facts, row.facts.job
    task = None if job is None else job.task
    return {
        "name": facts.name,
        "native": facts.native,
        "ident": facts.ident,
        "daemon": facts.daemon,
        "cpu": _share(row.cpu),
        "gil": _share(row.gil),
        "queued": _share(row.queued),
        "loop": row.loop,
        "state": facts.state,
        "at": site_object(row.at),
        "stack": stack(row.stack),
        "job": None
        if job is None
        else {
            "function": job.function,
            "site": site_object(row.job),
            "task": None if task is None else {"id": task.id, "name": task.name, "coro": task.coro},
        },
    }


def _share(share: float | None) -> float | None:
    return None if share is None else rounded(share)
