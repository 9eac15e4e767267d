"""Computes the critical path: the chain of ran, queued and waited, across tasks, that the end of a task depended on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.trace.parts import Part, parts_between

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.store.model import Site
    from monitor.trace.timeline import Life, Timeline

MOST_TASKS = 50
"""Limit of tasks in a path; what lies further back is one piece."""


@dataclass(slots=True)
class Piece:
    """A time during which the end of a task depended on one thing.

    A time in the queue is one piece for each thing it was behind, longest first, whatever ran when.
    """

    task: int
    name: str
    kind: str  # ran, queued, waited, unknown
    text: str  # what it waited on, or what it queued behind
    at: Site | None
    start: int
    end: int


def path_of(timeline: Timeline, life: Life, parts: Sequence[Part]) -> list[Piece]:
    """Return the critical path of a task with these parts, earliest piece first. The pieces cover all of it.

    A wait that another task ended is replaced by what that task did meanwhile.
    """
    found: list[Piece] = []
    todo: list[tuple[Life, Sequence[Part], int]] = [(life, parts, 0)]
    while todo:
        who, its_parts, depth = todo.pop()
        for part in its_parts:
            woken = part.woken_by if part.kind == "waited" else None
            waker = None if woken is None or woken.task == who.id else timeline.lives.get(woken.task)
            if waker is None or not waker.steps or depth >= MOST_TASKS:
                found += _pieces(who, part)
            else:
                todo += _meanwhile(timeline, waker, part.start, part.end, depth + 1)
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


def _pieces(who: Life, part: Part) -> Iterator[Piece]:
    """Yield a part of a task as pieces of a path."""
    if part.kind != "queued" or not part.behind:
        text = part.on.kind if part.on is not None and part.kind == "waited" else ""
        at = part.at if part.kind in ("ran", "waited") else None
        yield Piece(who.id, who.words, part.kind, text, at, part.start, part.end)
        return
    start = part.start
    for entry in part.behind:  # together they are as long as the part
        end = start + entry.duration
        yield Piece(who.id, who.words, part.kind, entry.title, entry.at, start, end)
        start = end


def _meanwhile(
    timeline: Timeline, who: Life, low: int, high: int, depth: int
) -> Iterator[tuple[Life, Sequence[Part], int]]:
    """Yield what a task did during a time, and before its birth its creator."""
    while True:
        parts = parts_between(timeline, who, low, high)
        yield who, parts, depth
        began = parts[0].start if parts else high
        if began <= low:
            return
        parent = timeline.lives.get(who.parent) if who.born is not None else None
        if parent is None or not parent.steps or depth >= MOST_TASKS:
            yield who, [Part("unknown", low, began)], depth
            return
        who, high, depth = parent, began, depth + 1
