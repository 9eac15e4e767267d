"""`looptop watch`: what happens in a program, as objects in order of time. `event_lines` prints them."""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections import deque
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

from monitor import early_end
from monitor import formatting as fmt
from monitor.errors import Closed, WayLost
from monitor.findings.rules.engine import Findings
from monitor.plain import findings as plain_findings
from monitor.plain import objects
from monitor.plain.objects import Object
from monitor.protocol import frames, keyframes
from monitor.protocol.rows import SECOND
from monitor.recording.reader import Recording
from monitor.recording.replay_frames import walk
from monitor.store.model import Loop
from monitor.store.past import FINE
from monitor.store.store import Store
from monitor.transport.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Reversible
    from pathlib import Path

RATE = 4
"""Ticks per second: how soon a line is printed."""

PATIENCE = 1.0
"""Seconds without a tick after which held-back events are printed."""

MISSED_EVERY = 10.0
"""Seconds between two reports of lost events: a busy server loses some at every tick."""

ONLY: dict[str, tuple[str, ...]] = {
    "slow": ("blocked", "slow_callback"),
    "ended": ("task_ended",),
    "failed": ("task_ended", "unhandled"),
    "loop": ("loop",),
    "finding": ("finding", "finding_gone"),
    "worker": ("worker_started", "worker_ended"),
}
"""Values of `--only` beside the types themselves, and the types of the objects that each selects."""

BLOCKED = 1.0
"""Seconds from which on a callback is reported while it still blocks its loop; shorter ones only when they end."""

HAPPENED = ("slow_callback", "task_ended", "unhandled", "never_awaited")
"""Types of objects that the probe remembers."""

TELLS = 60.0
"""Seconds after the start of a recording by which a probe has sent what it remembered, even if nothing happens."""

Entry = TypeVar("Entry")


@dataclass(slots=True)
class _Second:
    """What a loop did since it was last reported."""

    at: float
    busy: float | None
    steps: int
    lag: float = 0.0


@dataclass(slots=True)
class _Block:
    """A callback that blocks a loop."""

    seen: float  # time of the first tick that had it
    lasted: float = 0.0
    reported: bool = False


@dataclass(slots=True)
class Stream:
    """Turns frames into the objects to print, using a store."""

    store: Store = field(default_factory=Store)
    findings: Findings = field(default_factory=Findings)
    begin: float = -math.inf  # Unix time; what happened before is reported, but no part of findings
    past: bool = False  # whether to also return what the loops did before
    least: float = BLOCKED
    """Seconds from which on a loop that is blocked now is reported."""
    _blocks: dict[int, _Block] = field(default_factory=dict)
    _reported: dict[int, _Second] = field(default_factory=dict)
    _missed: int = 0  # already reported
    _missed_at: float | None = None  # time of that report
    _unnamed: int | None = None  # unnamed ends already reported; None: no total received yet
    _unnamed_at: float = 0.0  # time of that report

    def take(self, frame: frames.Frame) -> list[Object]:
        """The objects that result from a frame."""
        store = self.store
        before = (_last(store.slow.entries), _last(store.ended), _last(store.unhandled), _last(store.notices))
        store.apply(frame)
        if isinstance(frame, keyframes.Keyframe):
            self._reported.clear()
            self._missed = store.missed_events
            return []
        if isinstance(frame, frames.Tick):
            return [*self.losses(), *self._blocked(frame), *self._loops(), *self._findings(frame)]
        if isinstance(frame, frames.HistoryRows):
            return list(past_loops(store, frame)) if self.past else []
        came = list(self.losses())
        slow, ended, unhandled, notice = (
            _last(store.slow.entries),
            _last(store.ended),
            _last(store.unhandled),
            _last(store.notices),
        )
        if slow is not None and slow is not before[0]:
            came.append(objects.slow_callback_object(slow))
        if ended is not None and ended is not before[1]:
            came.append(objects.task_ended_object(ended))
        if unhandled is not None and unhandled is not before[2]:
            came.append(objects.unhandled_object(unhandled))
        if notice is not None and notice is not before[3]:
            came.append(_notice(notice.at, notice.text))
        if isinstance(frame, frames.Event) and frame.at * SECOND < self.begin:
            store.forget_events_before(self.begin)
        return came

    def begin_at(self, begin: float) -> None:
        """Leave what happened before a time out of findings."""
        self.begin = begin
        self.store.forget_events_before(begin)

    def before(self) -> list[Object]:
        """Objects for what happened before the first frame, from the store."""
        store = self.store
        return sorted(
            [
                *map(objects.slow_callback_object, store.slow.entries),
                *map(objects.task_ended_object, store.ended),
                *map(objects.unhandled_object, store.unhandled),
                *(_notice(notice.at, notice.text) for notice in store.notices),
            ],
            key=itemgetter("time"),
        )

    def losses(self, every: float = MISSED_EVERY) -> Iterator[Object]:
        """The number of events lost since the last report, if that was at least `every` seconds ago."""
        now, missed = self.store.now, self.store.missed_events - self._missed
        if missed and (self._missed_at is None or now - self._missed_at >= every):
            yield {**_notice(now, plain_findings.dropped_text(missed)), "dropped": missed}
            self._missed, self._missed_at = self.store.missed_events, now
        if self.store.probe.cpu_total is None:
            return
        if self._unnamed is None:  # losses before this viewer connected are not its own
            self._unnamed, self._unnamed_at = self.store.probe.unnamed, now
        unnamed = self.store.probe.unnamed - self._unnamed
        if unnamed and now - self._unnamed_at >= every:
            text = f"{fmt.of_many(unnamed, 'more task')} ended well: too many to list by name"
            yield {**_notice(now, text), "about": "ended"}
            self._unnamed, self._unnamed_at = self.store.probe.unnamed, now

    def _blocked(self, tick: frames.Tick) -> Iterator[Object]:
        """Callbacks that block a loop now, each once. A line that is not caught yet is waited for a little."""
        now = self.store.now
        for loop in self.store.loops.values() if tick.loops else ():
            if loop.block is None or loop.blocked < self.least:
                self._blocks.pop(loop.id, None)
                continue
            known = self._blocks.get(loop.id)
            if known is None or loop.blocked < known.lasted:
                known = self._blocks[loop.id] = _Block(now)
            known.lasted = loop.blocked
            if not known.reported and (loop.block.stack or now - known.seen >= BLOCKED):
                known.reported = True
                yield objects.blocked_object(loop, loop.block, self.store)

    def _findings(self, tick: frames.Tick) -> Iterator[Object]:
        """Findings that appeared or ended. Skipped for a piece of a tick, which is incomplete."""
        if tick.loops:
            for change in self.findings.evaluate(self.store):
                yield plain_findings.change_object(change)

    def _loops(self) -> Iterator[Object]:
        """Each loop once a second, with its worst lag and mean utilization since the last report."""
        now = self.store.now
        for loop in self.store.loops.values():
            if loop.busy is None:  # never measured when read from outside
                continue
            second = self._reported.get(loop.id)
            if second is None:
                self._reported[loop.id] = _Second(now, loop.busy, loop.steps)
                continue
            second.lag = max(second.lag, loop.lag)
            if now - second.at >= 0.99:
                yield _loop(loop, second, now)
                self._reported[loop.id] = _Second(now, loop.busy, loop.steps)


@dataclass(slots=True)
class Ordered:
    """Sorts a stream's objects by time, because the watchdog reports a slow callback after later events.

    Objects are held back until two later ticks have arrived.
    """

    stream: Stream
    _held: list[Object] = field(default_factory=list)
    _ticks: deque[float] = field(default_factory=lambda: deque([-math.inf] * 3, maxlen=3))  # times of the last ticks

    def take(self, frame: frames.Frame) -> list[Object]:
        """Add a frame; returns the objects that nothing earlier can follow any more."""
        self._held += self.stream.take(frame)
        if isinstance(frame, keyframes.Keyframe):
            return self.rest()
        if isinstance(frame, frames.Tick) and self.stream.store.now > self._ticks[-1]:
            self._ticks.append(self.stream.store.now)
            return self._until(self._ticks[0])
        return []

    def rest(self) -> list[Object]:
        """All objects held back, when nothing more comes, at least for a while."""
        return self._until(math.inf)

    def _until(self, at: float) -> list[Object]:
        self._held.sort(key=itemgetter("time"))
        count = bisect_right(self._held, at, key=itemgetter("time"))
        due, self._held = self._held[:count], self._held[count:]
        return due


def _last(entries: Reversible[Entry]) -> Entry | None:
    return next(iter(reversed(entries)), None)


def _loop(loop: Loop, second: _Second, now: float) -> Object:
    elapsed = now - second.at
    utilization = steps_per_s = None
    if loop.busy is not None and second.busy is not None and loop.busy >= second.busy:
        utilization = min((loop.busy - second.busy) / elapsed, 1.0)
        steps_per_s = max(loop.steps - second.steps, 0) / elapsed
    return {
        "type": "loop",
        "time": objects.seconds(now),
        "loop": loop.id,
        "lag": objects.seconds(second.lag),
        "utilization": objects.seconds(utilization),
        "ready": loop.ready,
        "timers": loop.timers,
        "steps_per_s": objects.rounded(steps_per_s),
    }


def past_loops(store: Store, rows: frames.HistoryRows) -> Iterator[Object]:
    """What a loop did before the store's first frame, from rows of history: of each second, before that of each ten."""
    fine = store.past.of(rows.loop, FINE)
    until = store.watched_since
    if rows.step * SECOND != FINE and fine is not None:
        until = min(until, fine.start)
    columns = (rows.columns.get(name, ()) for name in ("lag", "utilization", "ready", "steps"))
    for number, values in enumerate(zip(*columns, strict=False), start=1):
        time = (rows.from_ + number * rows.step) * SECOND
        if time > until:
            return
        lag, utilization, ready, steps = (None if value < 0 else value for value in values)
        if lag is not None:
            yield {
                "type": "loop",
                "time": objects.seconds(time),
                "loop": rows.loop,
                "lag": objects.seconds(lag * SECOND),
                "utilization": None if utilization is None else utilization / 1000,
                "ready": ready,
                "timers": None,
                "steps_per_s": steps,
                "past": True,
            }


def _notice(at: float, text: str) -> Object:
    return {"type": "notice", "time": objects.seconds(at), "text": text}


def watch(
    connection: Connection,
    duration: float | None,
    slow: float | None,
    findings: Findings | None = None,
    keep_locals: bool = False,
    past: bool = False,
) -> Iterator[Object]:
    """The objects of a program until the duration has passed or it has ended; then a notice says so.

    `past`: first what the probe remembers from before, each with `"past": true`. Otherwise a probe that remembers from
    the start of the program is not asked for that.
    """
    hello = connection.hello
    began, remembers = hello.now * 1e-6, "history" in hello.capabilities
    for thing in _watch(connection, duration, slow, findings, keep_locals, past):
        dated = mark_past(thing, began, past or (None if remembers else False))
        if dated is not None:
            yield dated


def mark_past(thing: Object, began: float, past: bool | None) -> Object | None:
    """An object that happened before `began` with `"past": true` if `past`, unchanged if False; None to drop it."""
    if thing["type"] not in HAPPENED or thing["time"] >= began or past is False:
        return thing
    return {**thing, "past": True} if past else None


def _watch(
    connection: Connection,
    duration: float | None,
    slow: float | None,
    findings: Findings | None,
    keep_locals: bool,
    past: bool,
) -> Iterator[Object]:
    stream = Stream(findings=findings or Findings(), past=past)
    ordered = Ordered(stream)
    stream.store.apply(connection.hello)
    if connection.hello.hooks.startswith("read-only"):
        yield _notice(time.time(), f"{connection.hello.hooks}: only ends of tasks are visible, not how they ended")
    what: dict[str, object] = {"type": "watch", "rate": RATE, "rows": True, "events": True, "findings": True}
    if past or findings is not None:  # some findings compare with the past
        what["history"] = True
    if keep_locals:
        what["locals"] = True
    if slow is not None:
        what["slow"] = round(slow * 1e6)
    ticked = time.monotonic()
    until = None if duration is None else ticked + duration
    with closing(connection), early_end.possible():
        connection.send(what)
        while (until is None or time.monotonic() < until) and not early_end.asked():
            wait = PATIENCE if until is None else min(max(until - time.monotonic(), 0.0), PATIENCE)
            try:
                came = connection.receive(wait)
            except Closed as closed:
                yield from ordered.rest()
                yield from stream.losses(0)
                if isinstance(closed, WayLost):
                    raise
                yield _notice(time.time(), str(closed))
                return
            before = stream.store.now
            for frame in came:
                yield from ordered.take(frame)
            if stream.store.now != before:
                ticked = time.monotonic()
            elif time.monotonic() - ticked >= PATIENCE:
                yield from ordered.rest()
        yield from ordered.rest()
        yield from stream.losses(0)


def replayed(
    path: Path,
    at: str | float | None,
    duration: float | None,
    slow: float | None,
    findings: Findings | None = None,
    past: bool = False,
) -> Iterator[Object]:
    """The objects of a recording, all at once, from a time for a number of seconds; then its findings.

    What happened before has `"past": true` and comes first. `past`: also before a time `at`, and of the loops. What
    happened before the recording is no part of its findings. A black box has no such past: it was there from the start.
    """
    stream = Stream(findings=findings or Findings(), past=past, least=max(BLOCKED, slow or 0.0))
    with Recording(path) as recording:
        begin = recording.start if at is None else recording.moment(at)
        end = recording.end if duration is None else begin + round(duration * 1e6)
        state, rest = walk(recording, begin, end)
        for frame in state:
            stream.take(frame)
        ordered = Ordered(stream)
        before = stream.before() if at is None or past else []
        if past:
            loops = [thing for rows in stream.store.past.as_rows() for thing in past_loops(stream.store, rows)]
            before = [thing if thing["type"] == "notice" else {**thing, "past": True} for thing in before]
            before = [*before, *loops]
        began = begin * SECOND
        if recording.from_box:
            began = -math.inf if at is None else began
        else:
            stream.begin_at(recording.start * SECOND)
        came = chain([before], map(ordered.take, rest), iter(ordered.rest, []))
        for thing in _past_first(chain.from_iterable(came), began):
            dated = mark_past(thing, began, True if at is None or past else None)
            if dated is not None and (slow is None or dated["type"] != "slow_callback" or dated["duration"] >= slow):
                yield dated
        for problem in recording.problems:
            yield _notice(recording.end * 1e-6, problem)


def _past_first(things: Iterator[Object], began: float) -> Iterator[Object]:
    """All objects in order of time: a probe sent what it remembered in pieces, after the recording had begun."""
    first: list[Object] = []
    for thing in things:
        first.append(thing)
        if thing["time"] >= began + TELLS or (thing["type"] in HAPPENED and thing["time"] >= began):
            break
    yield from sorted(first, key=itemgetter("time"))
    yield from things


def wanted(thing: Object, only: Collection[str]) -> bool:
    """Whether an object was selected by `--only`. Most of looptop's own notices always are."""
    if not only:
        return True
    if thing["type"] == "notice":
        about = thing.get("about")
        return about is None or any(kind == about or kind in ONLY[about] for kind in only)
    kinds = [kind for kind in only if thing["type"] in ONLY.get(kind, (kind,))]
    return bool(kinds) and (kinds != ["failed"] or thing.get("outcome", "failed") == "failed")
