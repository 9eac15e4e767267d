"""`looptop watch` and `findings` of several programs: the objects of all of them, each with its worker."""

from __future__ import annotations

import time
from operator import itemgetter
from typing import TYPE_CHECKING

from monitor import early_end
from monitor.findings.rules.engine import Findings
from monitor.plain import findings as plain_findings
from monitor.plain import objects
from monitor.plain.stream import PATIENCE, RATE, Ordered, Stream, mark_past

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.findings.thresholds import Thresholds
    from monitor.fleet.fleet import Change, Fleet, Worker
    from monitor.plain.objects import Object
    from monitor.protocol.frames import Frame

PAUSE = 0.1
"""Seconds between two polls for new objects."""
FIRST = 15.0
"""Seconds to wait for the first process; the duration starts when it has joined."""
EMPTY = 3.0
"""Seconds without any process after which the set counts as ended."""


def asked(slow: float | None, keep_locals: bool = False, past: bool = False) -> dict[str, object]:
    """The `watch` fields requested from each probe."""
    what: dict[str, object] = {"rate": RATE, "rows": True, "events": True, "findings": True}
    if past:
        what["history"] = True
    if keep_locals:
        what["locals"] = True
    if slow is not None:
        what["slow"] = round(slow * 1e6)
    return what


class _Watched:
    """One process: its stream, and when its last tick came."""

    def __init__(self, worker: Worker, thresholds: Thresholds, began: float, past: bool) -> None:
        self.worker = worker
        self._began, self._past = began, past
        self._late: float | None = None  # seconds from the beginning of the command to the first frames
        self.stream = Stream(worker.store, Findings(thresholds), past=past)
        self._ordered = Ordered(self.stream)
        self._ticked = time.monotonic()

    def take(self, came: list[Frame]) -> list[Object]:
        """The objects that result from frames, with the worker."""
        if self._late is None:
            self._late = time.monotonic() - self._began
        before = self.worker.store.now
        found = [thing for frame in came for thing in self._ordered.take(frame)]
        if self.worker.store.now != before:
            self._ticked = time.monotonic()
        return self._own(found)

    def held(self) -> list[Object]:
        """Objects that were held back, if no tick has come for a while."""
        return self.rest() if time.monotonic() - self._ticked >= PATIENCE else []

    def rest(self) -> list[Object]:
        """All objects that were held back."""
        return self._own(self._ordered.rest())

    def losses(self) -> list[Object]:
        """Losses that have not been reported yet."""
        return self._own(list(self.stream.losses(0)))

    def _own(self, things: list[Object]) -> list[Object]:
        pid, slot, store = self.worker.pid, self.worker.slot, self.worker.store
        began = store.watched_since - (self._late or 0.0)  # by its own clock, which may be another one than ours
        remembers = store.session is not None and "history" in store.session.capabilities
        dated = [mark_past(thing, began, self._past or (None if remembers else False)) for thing in things]
        return [{**thing, "pid": pid, "worker": slot} for thing in dated if thing is not None]

    def findings(self) -> list[Object]:
        """The current findings of the process, as JSON objects."""
        whose = {"pid": self.worker.pid, "worker": self.worker.slot}
        return [{**plain_findings.finding_object(one), **whose} for one in self.stream.findings.all()]


class Watch:
    """The objects of all processes of a set in order of arrival, sorted by time within a batch."""

    def __init__(self, fleet: Fleet, thresholds: Thresholds, past: bool = False) -> None:
        """`past`: start with what the probes remember from before."""
        self._fleet = fleet
        self._began, self._past = time.monotonic(), past
        self._thresholds = thresholds
        self._watched: dict[int, _Watched] = {}
        self._ended: list[Object] = []  # findings of processes that have gone
        self._problems: dict[int, str] = {}
        self.joined = 0
        """How many processes have answered so far."""

    def run(self, duration: float | None) -> Iterator[Object]:
        """Run for the duration, which starts when the first process has joined, or until no process is left."""
        began = seen = time.monotonic()
        until = None if duration is None else began + FIRST
        waits = duration is not None
        with early_end.possible():
            while (until is None or time.monotonic() < until) and not early_end.asked():
                yield from sorted(self._batch(), key=itemgetter("time"))
                if duration is not None and waits and self.joined:
                    waits, until = False, time.monotonic() + duration
                if self._fleet.workers:
                    seen = time.monotonic()
                elif time.monotonic() - seen >= EMPTY:
                    yield _notice("no process is left")
                    return
                time.sleep(PAUSE)
        yield from self._rest()

    def findings(self) -> list[Object]:
        """The current findings of each process, and the last ones of processes that have gone."""
        now = [{**one, "over": False} for watched in self._watched.values() for one in watched.findings()]
        return [*now, *self._ended]

    def detectors(self) -> list[Findings]:
        """Those of the processes that are alive."""
        return [watched.stream.findings for watched in self._watched.values()]

    def _batch(self) -> Iterator[Object]:
        changes = self._fleet.step()
        for worker, came in self._fleet.take():
            yield from self._of(worker).take(came)
        for change in [*changes, *self._fleet.step()]:
            self.joined += change.joined
            yield change_object(change)
        for slot, watched in list(self._watched.items()):
            yield from watched.held()
            if self._fleet.workers.get(slot) is not watched.worker:
                yield from self._let_go(slot)
        yield from self._new_problems()

    def _new_problems(self) -> Iterator[Object]:
        """Why workers do not answer, each reported once. The end of a worker is a separate event."""
        for slot, worker in self._fleet.workers.items():
            known = worker.source.status.state == "connecting" or (worker.end is not None and worker.end.ended)
            problem = "" if known or worker.problem is None else worker.problem.partition(";")[0]
            if problem and self._problems.get(slot) != problem:
                yield {**_notice(f"worker {slot}: {problem}"), "pid": worker.pid, "worker": slot}
            self._problems[slot] = problem

    def _of(self, worker: Worker) -> _Watched:
        watched = self._watched.get(worker.slot)
        if watched is None or watched.worker is not worker:
            if watched is not None:
                self._ended += [{**one, "over": True} for one in watched.findings()]
            watched = self._watched[worker.slot] = _Watched(worker, self._thresholds, self._began, self._past)
        return watched

    def _let_go(self, slot: int) -> Iterator[Object]:
        watched = self._watched.pop(slot)
        self._ended += [{**one, "over": True} for one in watched.findings()]
        yield from watched.rest()
        yield from watched.losses()

    def _rest(self) -> Iterator[Object]:
        for watched in self._watched.values():
            yield from watched.rest()
            yield from watched.losses()


def change_object(change: Change) -> Object:
    """A process that has joined or gone, as `looptop watch --json` prints it."""
    thing: Object = {
        "type": "worker_started" if change.joined else "worker_ended",
        "time": objects.seconds(change.at),
        "pid": change.pid,
        "worker": change.worker,
    }
    return thing if change.joined else {**thing, "reason": change.reason, "box": change.box}


def _notice(text: str) -> Object:
    return {"type": "notice", "time": objects.seconds(time.time()), "text": text}
