"""What `looptop postmortem` prints: programs that died with a black box, and what is known of the end of one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.plain import objects
from monitor.plain.thread_objects import threads_object
from monitor.store.labels import site_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitor.attach.boxes import Box
    from monitor.findings.rules.engine import Findings
    from monitor.plain.objects import Object
    from monitor.store.store import Store

LAST = 100
"""Slow callbacks, and failures, that are printed: the last ones."""


def listing_object(boxes: Sequence[Box]) -> Object:
    """What `looptop postmortem --json` prints."""
    return {"boxes": [box_object(box) for box in boxes]}


def box_object(box: Box) -> Object:
    """Return one dead program and its black box as a JSON object."""
    heading = box.heading
    return {
        "pid": heading.pid,
        "name": heading.name,
        "program": heading.program,
        "python": heading.python,
        "host": heading.host,
        "session": heading.session,
        "started": heading.started or None,
        "ended": ended_object(box),
        "size": box.size,
        "file": str(box.path),
    }


def ended_object(box: Box) -> Object | None:
    """When and how a program ended; null while it runs."""
    if box.ended is None:
        return None
    status = None if box.status is None else box.status.status
    return {"time": objects.seconds(box.ended), "how": box.how, "status": status, "oom_kills": box.oom_kills}


def last_object(box: Box, store: Store, things: Iterable[Object], findings: Findings) -> Object:
    """What `looptop postmortem TARGET --json` prints. `things` is what `looptop watch` would print of all of it."""
    from monitor.plain.findings import watched

    slow: list[Object] = []
    failures: list[Object] = []

    def sorted_out() -> Iterable[Object]:
        for thing in things:
            if thing["type"] == "slow_callback":
                slow.append(thing)
            elif thing["type"] == "unhandled" or thing.get("outcome") == "failed":
                failures.append(thing)
            yield thing

    seen = watched(sorted_out(), findings, live=False)
    return {
        **objects.snapshot(store, store.tasks.values()),
        "ended": ended_object(box),
        "last_entry": objects.seconds(store.now),
        "blocked": blocked_objects(store),
        "threads": threads_object(store) if store.thread_looks else None,
        "slow_callbacks": slow[-LAST:],
        "failures": failures[-LAST:],
        "findings": seen.found,
        "history": objects.history_objects(store),
        "notes": [*left_out(store), *seen.notes],
    }


def blocked_objects(store: Store) -> list[Object]:
    """The loops that one call held up at the last entry: for how long by then, and the call."""
    return [
        {
            "loop": loop.id,
            "duration": objects.seconds(loop.blocked),
            "line": objects.site_object(loop.block.line),
            "stack": objects.stack(loop.block.stack),
        }
        for loop in store.loops.values()
        if loop.block is not None
    ]


def last_calls(store: Store) -> list[str]:
    """In which call each loop was at the last entry, as far as it was seen."""
    lines = []
    for loop in store.loops.values():
        if loop.block is not None:
            line = loop.block.line
            where = "a call that was not caught" if line is None else site_text(line, store)
            lines.append(f"loop {loop.id} was blocked for {fmt.duration(loop.blocked)} by then, in {where}")
    return lines


def left_out(store: Store) -> list[str]:
    """Say how many tasks are known if a box had no room for many of them."""
    if not store.lacks_tasks:
        return []
    alive = fmt.of_many(store.probe.tasks, "task")
    return [f"only {len(store.tasks):,} of {alive} fitted into the black box (a larger LOOPTOP_BOX holds more)"]


def summary(box: Box) -> str:
    """One line about the end of a program."""
    heading = box.heading
    if box.ended is None:
        return f"{heading.name} (pid {heading.pid}) is still running"
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(box.ended))
    return f"{heading.name} (pid {heading.pid}) ended at {clock}: {box.how}"
