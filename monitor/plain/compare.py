"""Output of `looptop compare`: what got worse between two recordings, and which conditions failed."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.plain.objects import rounded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.flame.tree import Change
    from monitor.plain.objects import Object
    from monitor.recording.compare import Blocking, Comparison, Group, Line, Site
    from monitor.recording.figures import Figures, GroupFigures, Place, Slow

LEAST_FRAME = 0.01
"""Share of the time that a function has at least to be printed."""

WIDEST = 60
"""Characters of a place with its mark, as of the widest cell of a table."""

MOST = 15
"""Sites and lines that are printed; JSON contains all."""


def comparison_object(found: Comparison, failed: Sequence[str], frames: Sequence[Change] = ()) -> Object:
    """The object that `looptop compare --json` prints."""
    return {
        "a": _recording_object(found.a),
        "b": _recording_object(found.b),
        "figures": [_line_object(line) for line in found.lines],
        "busy_by_site": [_site_object(site) for site in found.sites],
        "slow_by_line": [_blocking_object(line) for line in found.blocking],
        "groups": [{"group": one.name, "a": _group_object(one.a), "b": _group_object(one.b)} for one in found.groups],
        "frames": [
            {
                "site": {"file": one.site.file, "line": one.site.line, "function": one.site.function},
                "own": {"a": _exact(one.own[0]), "b": _exact(one.own[1])},
                "total": {"a": _exact(one.total[0]), "b": _exact(one.total[1])},
            }
            for one in frames
        ],
        "failed": list(failed),
    }


def _recording_object(figures: Figures) -> Object:
    return {
        "path": str(figures.path),
        "program": figures.program,
        "name": figures.name,
        "start": rounded(figures.start),
        "duration": rounded(figures.duration),
        "problems": figures.problems,
    }


def _line_object(line: Line) -> Object:
    change = line.change
    return {
        "key": line.figure.key,
        "unit": line.figure.unit,
        "a": _exact(line.a),
        "b": _exact(line.b),
        "change": None if change is None or math.isinf(change) else _exact(change),
        "verdict": line.verdict or None,
    }


def _group_object(group: GroupFigures | None) -> Object | None:
    if group is None:
        return None
    return {
        "ended": group.ended,
        "ended_per_s": _exact(group.per_s),
        "failed": group.failed,
        "errors": group.errors,
        "p50": _exact(group.p50),
        "p99": _exact(group.p99),
    }


def _exact(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _place_object(place: Place | None) -> Object | None:
    return None if place is None else {"file": place.file, "line": place.line, "function": place.function}


def _site_object(site: Site) -> Object:
    return {
        "a": {"site": _place_object(site.a), "busy": _exact(site.busy[0]), "born_per_s": _exact(site.born[0])},
        "b": {"site": _place_object(site.b), "busy": _exact(site.busy[1]), "born_per_s": _exact(site.born[1])},
    }


def _blocking_object(line: Blocking) -> Object:
    def side(place: Place | None, slow: Slow, blocked: float) -> Object:
        return {
            "line": _place_object(place),
            "count": slow.count,
            "total": _exact(slow.total),
            "worst": _exact(slow.worst),
            "blocked": _exact(blocked),
        }

    return {
        "a": side(line.a, line.slow[0], line.blocked[0]),
        "b": side(line.b, line.slow[1], line.blocked[1]),
    }


def comparison_lines(found: Comparison, width: int, colour: bool, frames: Sequence[Change] = ()) -> list[str]:
    """The lines that `looptop compare` prints, regressions first."""
    from monitor.plain.tables import Heading, table  # imports Rich, which JSON does not need

    lines = [_head("A", found.a), _head("B", found.b)]
    for mark, figures in (("A", found.a), ("B", found.b)):
        lines += [f"note: {mark}: {fmt.clean(problem)}" for problem in figures.problems]
    rows: list[Heading[Line]] = [
        Heading("", lambda row: row.verdict if row.verdict != "same" else ""),
        Heading("Figure", lambda row: row.figure.title),
        Heading("A", lambda row: row.figure.text(row.a), right=True),
        Heading("B", lambda row: row.figure.text(row.b), right=True),
        Heading("Change", _change, right=True),
    ]
    lines += ["", *table([line for line in found.lines if line.a or line.b], rows, width, colour)]
    blocking = [line for line in found.blocking if line.slow[0].count or line.slow[1].count]
    if blocking:
        headings: list[Heading[Blocking]] = [
            Heading("", lambda row: "" if row.chance else _mark(*row.blocked, 0.002)),
            Heading("Slow callbacks by line", lambda row: _moved(row.a, row.b)),
            Heading("A", lambda row: _slow(row.slow[0]), right=True),
            Heading("B", lambda row: _slow(row.slow[1]), right=True),
            Heading("Blocked A", lambda row: fmt.percent(row.blocked[0]), right=True),
            Heading("B", lambda row: fmt.percent(row.blocked[1]), right=True),
        ]
        lines += ["", *table(blocking[:MOST], headings, width, colour), *_more(blocking)]
    sites = [site for site in found.sites if max(site.busy) > 0 or max(site.born) > 0]
    if sites:
        site_headings: list[Heading[Site]] = [
            Heading("", lambda row: _mark(*row.busy, 0.005)),
            Heading("Busy by creation site", _site_text),
            Heading("A", lambda row: fmt.percent(row.busy[0]), right=True),
            Heading("B", lambda row: fmt.percent(row.busy[1]), right=True),
            Heading("Born A", lambda row: f"{fmt.rate(row.born[0])}/s", right=True),
            Heading("B", lambda row: f"{fmt.rate(row.born[1])}/s", right=True),
        ]
        lines += ["", *table(sites[:MOST], site_headings, width, colour), *_more(sites)]
    if found.groups:
        group_headings: list[Heading[Group]] = [
            Heading("", _slower),
            Heading("Tasks by group", lambda row: row.name + _only(row)),
            Heading("p50 A", lambda row: fmt.duration(row.a.p50 if row.a else None), right=True),
            Heading("B", lambda row: fmt.duration(row.b.p50 if row.b else None), right=True),
            Heading("p99 A", lambda row: fmt.duration(row.a.p99 if row.a else None), right=True),
            Heading("B", lambda row: fmt.duration(row.b.p99 if row.b else None), right=True),
            Heading("/s A", lambda row: fmt.rate(row.a.per_s if row.a else None), right=True),
            Heading("B", lambda row: fmt.rate(row.b.per_s if row.b else None), right=True),
        ]
        lines += ["", *table(found.groups[:MOST], group_headings, width, colour), *_more(found.groups)]
    grown = [one for one in frames if max(*one.own, *one.total) >= LEAST_FRAME]
    if grown:
        frame_headings: list[Heading[Change]] = [
            Heading("", lambda row: _mark(*row.own, 0.01)),
            Heading("On the loop, by function", _frame_text),
            Heading("Itself A", lambda row: fmt.percent(row.own[0]), right=True),
            Heading("B", lambda row: fmt.percent(row.own[1]), right=True),
            Heading("In all A", lambda row: fmt.percent(row.total[0]), right=True),
            Heading("B", lambda row: fmt.percent(row.total[1]), right=True),
        ]
        lines += ["", *table(grown[:MOST], frame_headings, width, colour), *_more(grown)]
    return lines


def _head(mark: str, figures: Figures) -> str:
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(figures.start))
    name = f"@{figures.name}" if figures.name else figures.program[:60]
    number = len(figures.processes)
    whose = f"  pid {figures.processes[0]}" if number == 1 else f"  {number} processes" if number else ""
    return fmt.clean(f"{mark}  {figures.path}  {name}{whose}  {fmt.duration(figures.duration)} from {clock}")


def _change(line: Line) -> str:
    change = line.change
    if change is None:
        return ""
    if math.isinf(change):
        return "new"
    if abs(change) >= 9.995:
        return f"×{change + 1:.0f}"
    percent = round(change * 100)
    return f"{percent:+d}%" if percent else "0%"


def _mark(a: float, b: float, least: float) -> str:
    if abs(b - a) < least or (a and abs(b - a) / a < 0.05):
        return ""
    return "worse" if b > a else "better"


def _slower(group: Group) -> str:
    """Whether half of its tasks take longer; a millisecond of buckets and of other load is no change."""
    if group.a is None or group.b is None or group.a.p50 is None or group.b.p50 is None:
        return ""
    return _mark(group.a.p50, group.b.p50, max(0.001, 0.07 * group.a.p50))


def _only(group: Group) -> str:
    mark = fmt.only_in(group.a, group.b)
    return f" {mark}" if mark else ""


def _moved(a: Place | None, b: Place | None) -> str:
    place = b or a
    if a is not None and b is not None and a.line != b.line:
        return f"{b} (A: line {a.line})"
    if a is not None and b is not None:
        return str(place)
    mark = f" {fmt.only_in(a is not None, b is not None)}"
    text = str(place)
    return (text if len(text + mark) <= WIDEST else f"{text[: WIDEST - len(mark) - 1]}…") + mark


def _site_text(site: Site) -> str:
    """A creation site; in the other recording it may be known and have made no tasks."""
    known = [
        place if busy or born else None
        for place, busy, born in zip((site.a, site.b), site.busy, site.born, strict=True)
    ]
    return _moved(*known)


def _frame_text(change: Change) -> str:
    text = f"{change.site.function} {fmt.place(change.site.file, None)}"
    return f"{text} {fmt.only_in(*change.total)}".rstrip()


def _slow(slow: Slow) -> str:
    return f"{slow.count}× ≤{fmt.duration(slow.worst)}" if slow.count else fmt.UNKNOWN


def _more(rows: Sequence[object]) -> list[str]:
    return [f"{len(rows) - MOST} more"] if len(rows) > MOST else []
