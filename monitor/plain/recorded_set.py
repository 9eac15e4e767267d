"""`looptop watch` and `findings` of a recorded set: what all its recordings hold, each object with its worker."""

from __future__ import annotations

import heapq
from operator import itemgetter
from typing import TYPE_CHECKING

from monitor.findings.rules.engine import Findings
from monitor.plain import objects, stream
from monitor.plain.findings import Seen, in_order, watched
from monitor.recording.of_set import GONE_AFTER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.findings.thresholds import Thresholds
    from monitor.plain.objects import Object
    from monitor.recording.of_set import Part, RecordedSet


def replayed(
    recorded: RecordedSet,
    at: str | None,
    duration: float | None,
    slow: float | None,
    thresholds: Thresholds,
    past: bool = False,
) -> Iterator[Object]:
    """The objects of all recordings by time, from a time for a number of seconds."""
    streams = [
        _with_changes(recorded, part, begin, _of_part(part, begin, seconds, slow, Findings(thresholds), past))
        for part, begin, seconds in _within(recorded, at, duration)
    ]
    return heapq.merge(*streams, key=itemgetter("time"))


def found_in(recorded: RecordedSet, at: str | None, duration: float | None, thresholds: Thresholds) -> Seen:
    """The findings of all recordings."""
    found: list[Object] = []
    notes: list[str] = []
    not_judged = ""
    for part, begin, seconds in _within(recorded, at, duration):
        detector = Findings(thresholds)
        seen = watched(_of_part(part, begin, seconds, None, detector, past=False), detector, live=False)
        found += [{**one, **_whose(part)} for one in seen.found]
        notes += [f"worker {part.worker}: {note}" for note in seen.notes]
        not_judged = not_judged or seen.not_judged
    return Seen(in_order(found), notes, not_judged)


def _within(
    recorded: RecordedSet, at: str | None, duration: float | None
) -> Iterator[tuple[Part, float | None, float | None]]:
    """The recordings that overlap a span, with its begin in each (None: from its start) and the seconds from there."""
    begin = None if at is None else recorded.moment(at)
    end = None if duration is None else (recorded.start if begin is None else begin) + duration
    for part in recorded.parts:
        if (begin is None or part.end >= begin) and (end is None or part.start <= end):
            own = None if begin is None or begin <= part.start else begin
            yield part, own, None if end is None else end - (part.start if own is None else own)


def _of_part(
    part: Part,
    begin: float | None,
    seconds: float | None,
    slow: float | None,
    findings: Findings,
    past: bool,
) -> Iterator[Object]:
    whose = _whose(part)
    for thing in stream.replayed(part.path, begin, seconds, slow, findings, past):
        yield {**thing, **whose}


def _with_changes(recorded: RecordedSet, part: Part, begin: float | None, things: Iterator[Object]) -> Iterator[Object]:
    """The objects of one recording between the start and the end of its process, as far as those are in it."""
    if begin is None:
        started: Object = {"type": "worker_started", "time": objects.seconds(part.start), **_whose(part)}
        things = heapq.merge([started], things, key=itemgetter("time"))
    yield from things
    if part.end < recorded.end - GONE_AFTER:
        ended = {"reason": None, "box": None}
        yield {"type": "worker_ended", "time": objects.seconds(part.end), **_whose(part), **ended}


def _whose(part: Part) -> Object:
    return {"pid": part.pid, "worker": part.worker}
