"""Explains why a task was late, as JSON and as text: its parts summed up, and the critical path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from monitor import formatting as fmt
from monitor.trace.critical_path import path_of
from monitor.trace.parts import parts_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.store.model import Site
    from monitor.trace.critical_path import Piece
    from monitor.trace.parts import Part
    from monitor.trace.timeline import Life, Timeline
    from monitor.trace.waiting import WaitedOn

KINDS = ("ran", "queued", "waited", "unknown")
MOST_PARTS = 500
"""Limit of parts in a report; beyond it, the shortest ones of a kind are merged."""
MOST_PIECES = 500
"""Limit of pieces of a critical path in a report; the shortest ones are left out and counted."""
MOST_LINES = 4
BAR = 60


@dataclass(slots=True)
class Reason:
    """Why one task was late."""

    life: Life
    started: int
    age: int
    parts: list[Part]
    path: list[Piece]

    def total(self, kind: str) -> int:
        """Return the nanoseconds of all parts of a kind."""
        return sum(part.duration for part in self.parts if part.kind == kind)


def explain(
    timeline: Timeline,
    life: Life,
    born: int | None = None,
    until: int | None = None,
    now: tuple[WaitedOn | None, Site | None] = (None, None),
) -> Reason:
    """Return the parts and the critical path of a task.

    `born`: its birth (ns), if the ring does not reach back to it. `now`: what a live task waits on, and where.
    """
    parts = parts_of(timeline, life, born, until)
    if parts and life.ended is None and parts[-1].kind == "waited" and parts[-1].woken_by is None:
        parts[-1].on, parts[-1].at = now
    started = parts[0].start if parts else (life.born or timeline.begin)
    end = parts[-1].end if parts else started
    return Reason(life, started, end - started, parts, path_of(timeline, life, parts))


def slowest(
    timeline: Timeline, count: int, belongs: Callable[[Life], bool] | None = None, *, labelled: bool = False
) -> list[Life]:
    """Return the ended tasks of the greatest age whose birth and end are known, slowest first.

    `belongs`: which tasks are asked for. With `labelled` only those with a label, if there are any: a server's requests
    have one, and its tasks for connections, which live as long as a client likes, do not. A task of the same label that
    another one made counts as a part of it: Django makes one for each request of the server's.
    """
    found = [
        life
        for life in timeline.lives.values()
        if life.born is not None and life.ended is not None and (belongs is None or belongs(life))
    ]
    if labelled:
        found = [life for life in found if life.label] or found
    if labelled or belongs is not None:
        labels = {life.id: life.label for life in found}
        found = [life for life in found if life.label is None or labels.get(life.parent) != life.label]
    found.sort(key=lambda life: (life.born or 0) - (life.ended or 0))
    return found[:count]


def in_group(life: Life, group: str) -> bool:
    """Whether a task belongs to a group, which is named by its coroutine, its label, both, or its task's name."""
    names = (life.coro, life.label, f"{life.coro} {life.label}", life.name)
    return group in names or life.coro.rpartition(".")[2] == group.removesuffix("()")


# JSON


def site_object(site: Site | None) -> dict[str, Any] | None:
    """Return a site as the JSON object that all commands print."""
    return None if site is None else {"file": site.file, "line": site.line, "function": site.function}


def reason_object(reason: Reason) -> dict[str, Any]:
    """Return one entry of `tasks`: durations in seconds, times in Unix time."""
    life = reason.life
    path, left_out = _longest(reason.path)
    return {
        "task": life.id,
        "name": life.name or None,
        "group": life.coro or None,
        "label": life.label,
        "started": reason.started / 1e9,
        "age": reason.age / 1e9,
        **{kind: reason.total(kind) / 1e9 for kind in KINDS},
        "steps": len(life.steps),
        "outcome": life.outcome or None,
        "parts": [_part_object(part) for part in _bounded(reason.parts)],
        "critical_path": [
            {
                "task": piece.task,
                "name": piece.name,
                "kind": piece.kind,
                "on": piece.text or None,
                "at": site_object(piece.at),
                "duration": (piece.end - piece.start) / 1e9,
            }
            for piece in path
        ],
        "critical_path_left_out": {
            "pieces": len(left_out),
            "duration": sum(piece.end - piece.start for piece in left_out) / 1e9,
        },
        "text": text_of(reason),
    }


def _part_object(part: Part) -> dict[str, Any]:
    woken = part.woken_by
    return {
        "kind": part.kind,
        "start": part.start / 1e9,
        "duration": part.duration / 1e9,
        "running": part.running,
        "at_least": part.at_least,
        "at": site_object(part.at),
        "on": None
        if part.on is None
        else {"kind": part.on.kind, "repr": part.on.repr or None, "object": part.on.object or None},
        "held_by": [
            {"task": held.task, "name": held.name, "at": site_object(held.at), "duration": held.duration / 1e9}
            for held in part.held_by
        ],
        "behind": [
            {
                "task": entry.task or None,
                "name": entry.name,
                "what": entry.what,
                "at": site_object(entry.at),
                "duration": entry.duration / 1e9,
            }
            for entry in part.behind
        ],
        "woken_by": None
        if woken is None
        else {
            "kind": woken.kind,
            "task": woken.task or None,
            "name": woken.name or None,
            "at": site_object(woken.at),
        },
    }


def _bounded(parts: list[Part]) -> list[Part]:
    """Return about MOST_PARTS parts at most, with the same sums."""
    if len(parts) <= MOST_PARTS:
        return parts
    from monitor.trace.parts import Part

    least = sorted((part.duration for part in parts), reverse=True)[MOST_PARTS - len(KINDS)]
    kept = [part for part in parts if part.duration > least]
    for kind in KINDS:
        rest = sum(part.duration for part in parts if part.kind == kind and part.duration <= least)
        if rest:
            kept.append(Part(kind, parts[0].start, parts[0].start + rest))
    return kept


def _longest(path: list[Piece]) -> tuple[list[Piece], list[Piece]]:
    """Return the MOST_PIECES longest pieces of a path, in order, and the others."""
    ranks = sorted(range(len(path)), key=lambda index: path[index].start - path[index].end)
    kept = set(ranks[:MOST_PIECES])
    return [path[index] for index in sorted(kept)], [path[index] for index in ranks[MOST_PIECES:]]


# Text


def line(site: Site | None) -> str:
    """Format a line as `file.py:12`, without folders."""
    return "" if site is None else f"{site.file.rpartition('/')[2]}:{site.line}"


def duration(ns: int) -> str:
    """Format a duration with three digits and a unit."""
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1000)):
        if ns >= 0.9995 * size:  # 999.5 of the smaller unit round to 1.00 of this one
            value = ns / size
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"
    return f"{ns} ns" if ns else "0 s"


def text_of(reason: Reason) -> list[str]:
    """Return the report for people: a headline, a line for each thing that took long, the path, a bar."""
    life = reason.life
    out = [f"{life.title}  {duration(reason.age)}  {life.outcome or 'still alive'}"]
    out += _sums_text(reason.parts)
    steps = _path_text(reason)
    if steps:
        out.append(f"  critical path: {steps}")
    out.append(f"  {bar(reason)}")
    return out


def group_text(group: str, reasons: list[Reason]) -> list[str]:
    """Return what the slowest tasks of a group have in common: the sum of their parts."""
    age = sum(reason.age for reason in reasons)
    most = "slowest" if any(reason.life.ended is not None for reason in reasons) else "oldest live"
    many = f"the {len(reasons)} {most}" if len(reasons) > 1 else f"the {most} one"
    parts = [part for reason in reasons for part in reason.parts]
    return [f"{group}: {many}, {duration(age)} together", *_sums_text(parts, _family)]


def _titled(task: int, name: str) -> str:
    """Return what one task is called, with its id."""
    return f"#{task} {name}".rstrip() if task else name


def _family(_task: int, name: str) -> str:
    """Return the name of a task without its id and number: tasks of one kind share it."""
    return re.sub(r"[ #:_-]*\d+$", "", name) or name


def group_object(group: str, reasons: list[Reason]) -> dict[str, Any]:
    """Sum up the parts of several tasks, in seconds."""
    return {
        "group": group,
        "tasks": [reason.life.id for reason in reasons],
        "age": sum(reason.age for reason in reasons) / 1e9,
        **{kind: sum(reason.total(kind) for reason in reasons) / 1e9 for kind in KINDS},
        "text": group_text(group, reasons),
    }


def _sums_text(parts: list[Part], call: Callable[[int, str], str] = _titled) -> list[str]:
    """Yield a line for each thing that took long.

    `call`: maps ids and names of tasks to the name under which they are merged.
    """
    out = []
    for kind in KINDS:
        total = sum(part.duration for part in parts if part.kind == kind)
        if total or kind != "unknown":
            first, *rest = _details(kind, [part for part in parts if part.kind == kind], call) or [""]
            out.append(f"  {kind:<8}{duration(total):>9}  {first}".rstrip())
            out += [f"  {'':<17}  {detail}" for detail in rest]
    return out


def _details(kind: str, parts: list[Part], call: Callable[[int, str], str]) -> list[str]:
    if kind == "ran":
        if not parts:
            return []
        longest = max(parts, key=lambda part: part.duration)
        where = f" at {line(longest.at)} {longest.at.function}" if longest.at is not None else ""
        number = fmt.several(len(parts), "step")
        least = "at least " if longest.at_least else ""
        now = "; the last one still runs" if any(part.running for part in parts) else ""
        return [f"{number}, longest {least}{duration(longest.duration)}{where}{now}"]
    sums: dict[str, int] = {}
    if kind == "queued":
        for part in parts:
            for entry in part.behind:
                at = f" {line(entry.at)}" if entry.at is not None else ""
                name = f"{call(entry.task, entry.name)}{at}"
                sums[name] = sums.get(name, 0) + entry.duration
        return [f"behind {name}, {duration(took)}" for name, took in _most(sums)]
    for part in parts:
        text = _waited_text(part, call)
        sums[text] = sums.get(text, 0) + part.duration
    return [f"{duration(took)} {text}" for text, took in _most(sums)]


def _waited_text(part: Part, call: Callable[[int, str], str]) -> str:
    text = part.on.kind if part.on is not None else "not recorded" if part.kind == "unknown" else "waiting"
    if part.on is not None and part.on.repr:
        text += f" {part.on.repr}"
    if part.at is not None:
        text += f" at {line(part.at)} {part.at.function}"
    woken = part.woken_by
    holder = ""
    if part.held_by:
        longest, *others = sorted(part.held_by, key=lambda held: -held.duration)
        holder = call(longest.task, longest.name)
        text += f", held by {holder}"
        if woken is None or (others and call is _titled) or longest.at != woken.at:
            text += f" {line(longest.at)}".rstrip()
        if others and call is _titled:
            text += f" ({duration(longest.duration)}) and {fmt.several(len(others), 'other')}"
    if part.kind == "unknown" and part.behind:
        first = part.behind[0]
        return f"{text}; or ready and behind {call(first.task, first.name)} {line(first.at)}".rstrip()
    if woken is not None:
        who = call(woken.task, woken.name) if woken.kind == "task" else woken.kind
        where = line(woken.at) if woken.kind in ("task", "callback", "signal") else ""
        if who != holder or not where:  # otherwise it is already named
            where = f"{who or woken.kind} {where}".rstrip()
        text += f" ← {where}"
    return text


def _most(sums: dict[str, int]) -> list[tuple[str, int]]:
    listed = sorted(sums.items(), key=lambda entry: -entry[1])
    if len(listed) > MOST_LINES:
        rest = listed[MOST_LINES - 1 :]
        listed[MOST_LINES - 1 :] = [(fmt.several(len(rest), "other"), sum(took for _, took in rest))]
    return listed


def _path_text(reason: Reason) -> str:
    least = reason.age // 100
    found: list[tuple[str, int]] = []
    for piece in reason.path:
        if piece.end - piece.start < least:
            continue
        text = _titled(piece.task, piece.name)
        if piece.kind == "queued":
            text += f" behind {piece.text or 'others'}"
        elif piece.kind == "waited":
            text += f" on {piece.text or 'something'}"
        elif piece.kind == "unknown":
            text += " (unknown)"
        found.append((text, piece.end - piece.start))
    steps = []
    for text, alike in groupby(found, key=itemgetter(0)):
        times = [took for _, took in alike]
        steps.append(f"{text} {duration(sum(times))}" + (f" ({len(times)} times)" if len(times) > 1 else ""))
    if len(steps) > 12:
        steps[11:] = [f"{len(steps) - 11} more"]
    return " → ".join(steps)


def bar(reason: Reason, width: int = BAR) -> str:
    """Draw the age from left to right: R ran, q queued, . waited, ? unknown; each column shows its largest part."""
    if reason.age <= 0:
        return ""
    shares = [dict.fromkeys(KINDS, 0) for _ in range(width)]
    for part in reason.parts:
        start = (part.start - reason.started) * width / reason.age
        end = (part.end - reason.started) * width / reason.age
        for column in range(int(start), min(int(end) + 1, width)):
            shares[column][part.kind] += int((min(end, column + 1) - max(start, column)) * 1e6)
    letters = {"ran": "R", "queued": "q", "waited": ".", "unknown": "?"}
    return "".join(letters[max(KINDS, key=lambda kind: share[kind])] for share in shares)
