"""Finds who held the lock, slot or connection that a task waited for, and what the holder did meanwhile."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.trace.waiting import WaitedOn

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.store.model import Site
    from monitor.trace.timeline import Life, Run, Timeline, Wait

HELD = ("lock", "semaphore", "pool")
"""Kinds of waits that end when a task releases something."""
MOST_HOLDERS = 20
MOST_STEPS = 2000
"""Limit of steps of a holder that are examined."""


@dataclass(frozen=True, slots=True)
class Held:
    """A task that held what another one waited for."""

    task: int
    name: str
    at: Site | None  # the line at which it spent the most of that time
    duration: int  # of the wait (ns)


def is_held(on: WaitedOn | None) -> bool:
    """Whether a wait is for something that a task holds, or for a free place in a queue."""
    return on is not None and (on.kind in HELD or (on.kind == "queue" and on.repr.startswith("put")))


def holders_of(
    timeline: Timeline,
    wait: Wait | None,
    waker: int,
    start: int,
    end: int,
    waker_of: Callable[[Life, Run], int],
) -> list[Held]:
    """Return the holders during a wait that the task `waker` ended, last one first.

    A holder that had to wait for the same thing itself has held it since then; before, the task that ended its wait
    did.
    """
    found: list[Held] = []
    seen: set[int] = set()
    while waker and waker not in seen and len(found) < MOST_HOLDERS and end > start:
        life = timeline.lives.get(waker)
        if life is None:
            break
        seen.add(waker)
        since, step = _held_since(life, wait, end)
        began = max(since, start)
        found.append(Held(waker, life.words, doing(timeline, life, began, end), end - began))
        if step is None or since <= start:
            break
        waker, end = waker_of(life, step), since
    return found


def _held_since(life: Life, wait: Wait | None, until: int) -> tuple[int, Run | None]:
    """Return when a task got what it released at a moment, and the step that began then."""
    born = life.born if life.born is not None else 0
    if wait is None or not wait.object:
        return born, None
    index = bisect_right(life.waits, until, key=lambda one: one.at)
    for one in reversed(life.waits[max(index - MOST_STEPS, 0) : index]):
        if one.object == wait.object:
            place = bisect_left(life.steps, one.at, key=lambda step: step.start)
            return one.at, life.steps[place] if place < len(life.steps) else None
    return born, None


def doing(timeline: Timeline, life: Life, start: int, end: int) -> Site | None:
    """Return the line at which a task spent most of a time, running or waiting; None if no line is known."""
    sums: dict[Site, int] = {}
    waits = life.waits
    first = max(bisect_left(life.steps, start, key=lambda step: step.end) - 1, 0)
    before = start
    for step in life.steps[first : first + MOST_STEPS]:
        if step.start >= end:
            break
        wait = timeline.wait_that_ended(life, step.ready) if waits and step.ready is not None else None
        for site, began, ended in (
            (None if wait is None else wait.users or wait.innermost, before, step.ready or step.start),
            (timeline.line_of(step), step.start, step.end),
        ):
            took = min(ended, end) - max(began, start)
            if site is not None and took > 0:
                sums[site] = sums.get(site, 0) + took
        before = max(step.end, before)
    return max(sums, key=lambda site: sums[site]) if sums else life.code
