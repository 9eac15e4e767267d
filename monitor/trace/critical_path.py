"""Computes the critical path: the chain of ran, queued and waited, across tasks, that the end of a task depended on."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.trace.events import Kind
from monitor.trace.parts import behind_of, wake_of
from monitor.trace.waiting import waited_on

if TYPE_CHECKING:
    from monitor.store.model import Site
    from monitor.trace.timeline import Life, Timeline

MOST_TASKS = 50
"""Limit of tasks in a path; what lies further back is one piece."""


@dataclass(slots=True)
class Piece:
    """A time during which the end of a task depended on one thing."""

    task: int
    name: str
    kind: str  # ran, queued, waited, unknown
    text: str  # what it waited on, or what it queued behind
    at: Site | None
    start: int
    end: int


def path_of(timeline: Timeline, life: Life, since: int, until: int) -> list[Piece]:
    """Return the critical path of a task during a time, earliest piece first. The pieces cover all of it."""
    found: list[Piece] = []
    todo: list[tuple[Life, int, int, int]] = [(life, since, until, 0)]
    while todo:
        who, low, high, depth = todo.pop()
        if high <= low:
            continue
        _walk(timeline, who, low, high, depth, found, todo)
    found.sort(key=lambda piece: (piece.start, piece.end))
    merged: list[Piece] = []
    for piece in found:
        last = merged[-1] if merged else None
        same = last is not None and (last.task, last.kind, last.text, last.at) == (
            piece.task,
            piece.kind,
            piece.text,
            piece.at,
        )
        if last is not None and same and last.end == piece.start:
            last.end = piece.end
        else:
            merged.append(piece)
    return merged


def _walk(
    timeline: Timeline,
    who: Life,
    low: int,
    high: int,
    depth: int,
    found: list[Piece],
    todo: list[tuple[Life, int, int, int]],
) -> None:
    """Walk back along one task from `high` to `low`; a task that ended one of its waits is walked later."""

    def add(kind: str, start: int, end: int, text: str = "", at: Site | None = None) -> None:
        start, end = max(start, low), min(end, high)
        if end > start:
            found.append(Piece(who.id, who.words, kind, text, at, start, end))

    steps = who.steps
    index = bisect_left(steps, high, key=lambda step: step.start) - 1
    cursor = high
    if index < 0 or (steps[index].end < high and depth):
        # It was not running at that moment: it had not begun, or what it did is unknown.
        pass
    elif steps[index].end < high:
        add("waited" if who.ended is None else "unknown", steps[index].end, high)
        cursor = steps[index].end
    while cursor > low and index >= 0:
        step = steps[index]
        before = steps[index - 1].end if index else (who.born if who.born is not None else step.start)
        before = min(before, step.start)
        first = index == 0 and who.born is not None
        if step.end < cursor:
            add("unknown", step.end, cursor)
        add("ran", step.start, min(step.end, cursor), "", timeline.line_of(step))
        wake = wake_of(timeline, who, step, before)
        since = before if first else wake.queued_from
        if step.start > since:
            behind = behind_of(timeline, step.loop, max(since, low), step.start, who.id)
            text = behind[0].title if behind else ""
            add("queued", since, step.start, text, behind[0].at if behind else None)
        if first:
            cursor = before
            break
        add("unknown", wake.waited_until, wake.queued_from)
        waker = timeline.lives.get(wake.by.task) if wake.by.task and wake.by.task != who.id else None
        start = max(before, low)
        if wake.waited_until > start:
            if waker is not None and waker.steps and depth < MOST_TASKS and step.kind != Kind.STEP_BORN:
                todo.append((waker, start, min(wake.waited_until, high), depth + 1))
            else:
                wait = timeline.wait_that_ended(who, step.ready) if step.ready is not None else None
                on = waited_on(wait, wake.by, False)
                add("waited", start, wake.waited_until, on.kind, None if wait is None else wait.users)
        cursor = before
        index -= 1
    if cursor > low:  # before its birth it depended on its creator
        parent = timeline.lives.get(who.parent)
        if parent is not None and parent.steps and depth < MOST_TASKS and who.born is not None and who.born >= cursor:
            todo.append((parent, low, cursor, depth + 1))
        else:
            add("unknown", low, cursor)
