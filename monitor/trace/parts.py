"""Splits the age of a task into parts: ran, queued (behind what), waited (on what, ended by what), unknown."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.trace.events import Kind
from monitor.trace.holders import Held, holders_of, is_held
from monitor.trace.waiting import WaitedOn, WokenBy, by_callback, waited_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.store.model import Site
    from monitor.trace.timeline import Life, Run, Timeline

RESTING = 100_000
"""Nanoseconds between two runs from which on the loop counts as having waited in its selector."""
MOST_ROUND = 10_000
"""Limit of runs examined to find when a loop last rested."""
COLLECTION = "garbage collection"
IDLE = "the loop itself, or no processor"
"""Stands for time in which the task was ready and nothing recorded ran."""
MOST_BEHIND = 20
"""Limit of entries of `behind` in one part; the rest is merged."""


@dataclass(slots=True)
class Behind:
    """Something that ran while a task was ready."""

    task: int  # 0: a callback, or something else
    name: str
    what: str  # step, callback, gc, loop
    at: Site | None
    duration: int

    @property
    def title(self) -> str:
        """What it was, and of a task which one."""
        return f"#{self.task} {self.name}".rstrip() if self.task else self.name


@dataclass(slots=True)
class Part:
    """A piece of the age of a task. Times are ns."""

    kind: str  # ran, queued, waited, unknown
    start: int
    end: int
    at: Site | None = None
    on: WaitedOn | None = None
    behind: list[Behind] = field(default_factory=list)
    woken_by: WokenBy | None = None
    held_by: list[Held] = field(default_factory=list)
    running: bool = False  # this step has not ended yet
    at_least: bool = False  # this step began before the probe counted

    @property
    def duration(self) -> int:
        """Length of the part in nanoseconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Wake:
    """How a step came to be ready."""

    waited_until: int  # until then it was certainly waiting
    queued_from: int  # from then on it was certainly queued; in between is unknown
    by: WokenBy
    through: int  # when the task that woke it acted; 0: it was not a task


def wake_of(timeline: Timeline, life: Life, step: Run, since: int) -> Wake:
    """Find what made a step ready, through callbacks in between. `since`: the end of the previous step."""
    ready = step.start if step.ready is None else min(max(step.ready, since), step.start)
    if step.running and step.ready is None:
        return Wake(since, ready, WokenBy("callback"), 0)
    wait = timeline.wait_that_ended(life, ready) if step.ready is not None else None
    line = None if wait is None else wait.waking
    if step.kind in (Kind.STEP_TASK, Kind.STEP_SELF, Kind.STEP_BORN):
        waker = timeline.lives.get(step.waker)
        name = "" if waker is None else waker.words
        return Wake(ready, ready, WokenBy("task", step.waker, name, line), ready)
    if step.kind == Kind.STEP_OUTSIDE and step.ready is not None:  # a loop whose callbacks pass no hook
        seen = max(min(_arrived(timeline, step.loop, ready), ready), since)
        return Wake(seen, ready, WokenBy(by_callback(step.kind, wait), at=line), 0)
    until, kind, at = ready, step.kind, ready
    for _ in range(20):
        callback = timeline.running_at(step.loop, at)
        if callback is None or callback.task:
            break
        if callback.kind == Kind.CALL_HANDLE:
            seen = _arrived(timeline, callback.loop, callback.start)
            by = WokenBy(by_callback(Kind.STEP_HANDLE, wait), at=line)
            return Wake(max(min(seen, until), since), min(max(callback.start, since), until), by, 0)
        began = callback.start if callback.ready is None else callback.ready
        until = max(min(began, until), since)
        if callback.kind == Kind.CALL_TIMER:
            return Wake(until, until, WokenBy("timer", at=line), 0)
        if callback.waker:
            waker = timeline.lives.get(callback.waker)
            name = "" if waker is None else waker.words
            return Wake(until, until, WokenBy("task", callback.waker, name, line), until)
        if began >= at:
            break
        at = began
    return Wake(until, until, WokenBy(by_callback(kind, wait), at=line), 0)


def waker_of(timeline: Timeline, life: Life, step: Run) -> int:
    """Return the task that made a step ready, also through callbacks; 0 for none."""
    index = bisect_left(life.steps, step.start, key=lambda one: one.start)
    return wake_of(timeline, life, step, life.steps[index - 1].end if index else step.start).by.task


def _rested(before: Run, at: int) -> bool:
    """Whether a loop waited in its selector between a run and a moment. What was slow is reported first."""
    return at - before.end > max(RESTING, (before.end - before.start) // 20)


def _arrived(timeline: Timeline, loop: int, at: int) -> int:
    """Return the earliest moment at which the event that a callback handles, begun at `at`, can have arrived.

    A loop polls its descriptors between two rounds of callbacks. If it rested before this callback, the event arrived
    at the end of the rest; if it was busy, at any time since the previous round began.
    """
    runs = timeline.runs.get(loop, [])
    index = timeline.index_at(loop, at)
    if index < 0 or _rested(runs[index], at):
        return at
    first = index
    while first > 0 and index - first < MOST_ROUND and not _rested(runs[first - 1], runs[first].start):
        first -= 1
    before = began = runs[first].start
    for run in runs[first + 1 : index + 1]:
        if run.kind != Kind.CALL_TIMER and run.ready is not None and run.ready >= began:
            before, began = began, run.start
    return before


def behind_of(timeline: Timeline, loop: int, start: int, end: int, own: int) -> list[Behind]:
    """Return what ran on a loop during a time, longest first. `own`: the task itself, which is omitted."""
    found: dict[tuple[str, str, Site | None, int], Behind] = {}
    for run in timeline.between(loop, start, end):
        if run.task == own and own:
            continue
        began, ended = max(run.start, start), min(run.end, end)
        collecting = timeline.collected(began, ended)
        life = timeline.lives.get(run.task) if run.task else None
        what = "step" if run.task else "callback"
        site = timeline.line_of(run)
        name = life.words if life is not None else site.function if site is not None else "callback"
        if life is not None and site is None:
            site = life.code
        for key, took in (
            ((what, name, site, run.task), ended - began - collecting),
            (("gc", COLLECTION, None, 0), collecting),
        ):
            if took <= 0:
                continue
            entry = found.get(key)
            if entry is None:
                found[key] = Behind(key[3], key[1], key[0], key[2], took)
            else:
                entry.duration += took
    rest = end - start - sum(entry.duration for entry in found.values())
    if rest > 0:
        found["loop", "", None, 0] = Behind(0, IDLE, "loop", None, rest)
    listed = sorted(found.values(), key=lambda entry: -entry.duration)
    if len(listed) > MOST_BEHIND:
        others = listed[MOST_BEHIND - 1 :]
        total = sum(entry.duration for entry in others)
        listed[MOST_BEHIND - 1 :] = [Behind(0, fmt.several(len(others), "other"), "step", None, total)]
    return listed


def parts_of(timeline: Timeline, life: Life, born: int | None = None, until: int | None = None) -> list[Part]:
    """Return the parts of a task's age, in order and without gaps. `until`: end for a live task (default: its end)."""
    end = life.ended if life.ended is not None else (timeline.end if until is None else until)
    began, cursor = _beginning(timeline, life, born, end)
    parts = [Part("unknown", began, cursor)] if cursor > began else []
    limit = end if life.ended is not None else None
    parts += _parts(timeline, life, life.steps, cursor, limit, held=True)
    cursor = parts[-1].end if parts else cursor
    if end > cursor:
        # A task older than the ring without any event has been waiting all the time.
        alive = life.ended is None and (bool(life.steps) or life.born is None)
        parts.append(Part("waited" if alive else "unknown", cursor, end))
    return parts


def parts_between(timeline: Timeline, life: Life, low: int, high: int) -> list[Part]:
    """Return the parts of a task during a time, without gaps up to its end; nobody is named who held anything."""
    steps = life.steps
    first = bisect_right(steps, low, key=lambda step: step.end)
    steps = steps[first : bisect_left(steps, high, key=lambda step: step.start)]
    if first:
        cursor = low
    else:
        _, known = _beginning(timeline, life, None, high)
        cursor = min(max(known, low), high)
    parts = _parts(timeline, life, steps, cursor, high, held=False)
    cursor = parts[-1].end if parts else cursor
    return [*parts, Part("unknown", cursor, high)] if high > cursor else parts


def _parts(
    timeline: Timeline, life: Life, steps: Sequence[Run], cursor: int, limit: int | None, *, held: bool
) -> list[Part]:
    """Return the parts from `cursor` to the end of the last step, or to `limit`. `held`: look for holders as well."""
    parts: list[Part] = []
    for step in steps:
        if step.end <= cursor:
            continue
        start = max(step.start, cursor)
        if step is life.steps[0] and life.born is not None:  # it has not waited for anything yet
            behind = behind_of(timeline, step.loop, cursor, start, life.id)
            if start > cursor:
                parts.append(Part("queued", cursor, start, None, None, behind))
            cursor = start
        wake = wake_of(timeline, life, step, cursor)
        wait = timeline.wait_that_ended(life, step.ready) if step.ready is not None else None
        by_end = woken_by_end(timeline, wake)
        if wake.waited_until > cursor:
            on = None
            if step.kind not in (Kind.STEP_SELF, Kind.STEP_BORN):
                on = waited_on(wait, wake.by, by_end)
            at = None if wait is None else wait.users or wait.innermost
            part = Part("waited", cursor, wake.waited_until, at, on, [], wake.by)
            if held and is_held(on):
                part.held_by = holders_of(
                    timeline, wait, wake.by.task, part.start, part.end, lambda *of: waker_of(timeline, *of)
                )
            parts.append(part)
            cursor = wake.waited_until
        if wake.queued_from > cursor:
            behind = behind_of(timeline, step.loop, cursor, wake.queued_from, life.id)
            at = None if wait is None else wait.users or wait.innermost
            if step.running and wait is None:
                parts.append(Part("unknown", cursor, wake.queued_from))
            else:
                on = waited_on(wait, wake.by, by_end)
                parts.append(Part("unknown", cursor, wake.queued_from, at, on, behind, wake.by))
            cursor = wake.queued_from
        if start > cursor:
            behind = behind_of(timeline, step.loop, cursor, start, life.id)
            parts.append(Part("queued", cursor, start, None, None, behind, wake.by))
        cursor = max(step.end, start) if limit is None else min(max(step.end, start), limit)
        if cursor > start:
            at = timeline.line_of(step)
            parts.append(Part("ran", start, cursor, at, running=step.running, at_least=step.at_least))
    return parts


def _beginning(timeline: Timeline, life: Life, born: int | None, end: int) -> tuple[int, int]:
    """Return the birth of a task, and from when on its actions are known."""
    if life.born is not None:
        return life.born, life.born
    if not life.steps:
        known = min(timeline.begin, end)
        began = known if born is None else born
        return began, max(began, known)
    first = life.steps[0]
    ready = first.start if first.ready is None else first.ready
    began = ready if born is None else min(born, ready)
    return began, min(max(began, timeline.begin), ready)


def woken_by_end(timeline: Timeline, wake: Wake) -> bool:
    """Whether the task that ended a wait did so by ending itself."""
    waker = timeline.lives.get(wake.by.task) if wake.by.task else None
    return waker is not None and waker.ended is not None and abs(waker.ended - wake.through) < 2_000_000


def gaps(parts: list[Part]) -> int:
    """Return the nanoseconds between the parts; anything but 0 is a bug."""
    return sum(after.start - before.end for before, after in pairwise(parts))
