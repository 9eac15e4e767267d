"""What `looptop postmortem` prints: programs that died with a black box, and what is known of the end of one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from monitor.plain import objects

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
    return None if box.ended is None else {"time": objects.seconds(box.ended), "how": box.how}


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

    seen = watched(sorted_out(), findings)
    return {
        **objects.snapshot(store, store.tasks.values()),
        "ended": ended_object(box),
        "slow_callbacks": slow[-LAST:],
        "failures": failures[-LAST:],
        "findings": seen.found,
        "history": objects.history_objects(store),
        "notes": seen.notes,
    }


def summary(box: Box) -> str:
    """One line about the end of a program."""
    heading = box.heading
    if box.ended is None:
        return f"{heading.name} (pid {heading.pid}) is still running"
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(box.ended))
    return f"{heading.name} (pid {heading.pid}) ended at {clock}: {box.how}"
