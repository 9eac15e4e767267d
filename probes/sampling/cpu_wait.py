"""How long a callback was ready to run but waited for a CPU, as on a crowded machine.

The kernel counts for each thread how long it was ready without a CPU (schedstat, proc(5)). The watchdog reads that
figure at each look, and once more when a slow callback ends; the reading just before the callback is its baseline.
The wait between that reading and the start is estimated from how long the loop was busy then, and subtracted.
The figure is 0.0 where the kernel does not provide it.
"""

from __future__ import annotations

from bisect import bisect
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from ..base import process
from . import throttling

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..hooks.records import LoopRecord


MOST_READINGS = 400
"""Most readings kept of a loop whose callbacks start unseen (uvloop)."""


LEAST_STARVED = 0.005
"""Seconds of waiting for a CPU from which on it is asked whether a quota was the reason."""


class Reading(NamedTuple):
    """Figures at one moment: CPU time of a loop's thread, its time waiting for a CPU, busy time of the loop (s)."""

    at: float
    ran: float
    waited: float
    busy: float
    turns: int = 0  # how often the thread was given a CPU
    faults: int = 0  # page faults that memory answered


class First(NamedTuple):
    """The first reading during a callback, and the last one before it."""

    started: float
    busy: float  # of the loop at that time
    last: Reading
    reading: Reading


class Spent(NamedTuple):
    """Where the time of a callback went (s): CPU time, waiting for a CPU, and the rest, asleep in the kernel."""

    ran: float
    starved: float
    asleep: float
    turns: int = 0  # how often it was given a CPU: after each sleep, and each time that another thread had it
    faults: int = 0
    throttled: float = 0.0  # part of `starved`: the CPU quota of its cgroup was used up


NOTHING = Spent(0.0, 0.0, 0.0)


class CpuWait:
    """How long the threads of the loops have waited for a CPU. Used by the watchdog."""

    def __init__(self) -> None:
        self._last: dict[int, Reading] = {}  # by id of the loop
        self._firsts: dict[int, First] = {}  # by id of the loop: of its current callback
        self._unclocked: dict[int, deque[Reading]] = {}
        self._throttled = throttling.Throttled()

    def sample(self, records: Iterable[LoopRecord]) -> None:
        """Reads the figures of these loops; forgets all others."""
        known = {record.id: record for record in records}
        if any(record.started for record in known.values()):
            self._throttled.look()
        for gone in self._last.keys() - known.keys():
            self._last.pop(gone, None)
            self._firsts.pop(gone, None)
            self._unclocked.pop(gone, None)
        for record in known.values():
            now, last = monotonic(), self._last.get(record.id)
            started, busy = record.started, record.busy
            if last is not None and not started and record.clocked and busy == last.busy:
                idle = last._replace(at=now)  # the loop has been idle since
                if record.id in self._last and self._last[record.id] is last:
                    self._last[record.id] = idle  # else a callback has ended meanwhile, and was read
                continue
            reading = _read(record, started, busy)
            if started and last is not None and last.at < started:
                self._firsts[record.id] = First(started, busy, last, reading)
            if not record.clocked:
                self._unclocked.setdefault(record.id, deque(maxlen=MOST_READINGS)).append(reading)
            self._keep(record, reading)

    def of(self, record: LoopRecord, started: float, busy: float, ended: float) -> Spent:
        """Where the time of a callback that has just ended went, read now.

        `busy` is the loop's busy time when the callback started.
        """
        last, first = self._last.get(record.id), self._firsts.get(record.id)
        reading = _read(record, started, busy)
        self._keep(record, reading)  # the baseline for a callback that follows at once
        if first is None or first.started != started:
            if last is None or last.at > reading.at:
                return NOTHING
            first = First(started, busy, last, reading)
        spent = _spent(_before(first, reading), reading, ended)
        if spent.starved < LEAST_STARVED:
            return spent
        return spent._replace(throttled=min(self._throttled.since(started), spent.starved))

    def so_far(self, record: LoopRecord, started: float) -> Spent:
        """Where the time of a running callback went, up to the last look."""
        last, first = self._last.get(record.id), self._firsts.get(record.id)
        if last is None or first is None or first.started != started or last.at < started:
            return NOTHING
        return _spent(_before(first, last), last, last.at)

    def between(self, record: LoopRecord, begin: float, end: float) -> float:
        """How much of a stretch of time was spent waiting for a CPU (s); for loops that are not clocked."""
        readings = [*self._unclocked.get(record.id, ()), _read(record, 0.0, 0.0)]
        return min(max(_at(readings, end) - _at(readings, begin), 0.0), end - begin)

    def forget(self) -> None:
        """Drops all readings: the next ones begin anew."""
        self._last.clear()
        self._firsts.clear()
        self._unclocked.clear()

    def _keep(self, record: LoopRecord, reading: Reading) -> None:
        last = self._last.get(record.id)
        if last is None or last.at < reading.at:  # another thread may have been quicker
            self._last[record.id] = reading


def _read(record: LoopRecord, started: float, busy: float) -> Reading:
    at = monotonic()
    ran, waited, turns = process.thread_schedule(record.thread_native)
    faults, _ = process.thread_faults(record.thread_native)
    return Reading(at, ran, waited, busy + (at - started if started else 0.0), turns, faults)


def _before(first: First, newest: Reading) -> Reading:
    """The figures at the start of a callback, between two readings: in proportion to how long the loop was busy.

    Of CPU time and waiting for it that may be too little, since waits between callbacks are no busy time. What the
    callback had no room for was before it; and it is supposed to have begun as it went on until the newest reading:
    asleep, or not.
    """
    started, busy, last, reading = first
    others = min(max(busy - last.busy, 0.0), max(started - last.at, 0.0))
    own = max(reading.at - max(started, last.at), 1e-9)
    share = others / (others + own)
    used, used_share = _used(last, reading), share
    if used > 0.0:
        since = newest.at - reading.at
        active = min(_used(reading, newest) / since, 1.0) if since >= own else 1.0
        before = max(used - own * active, _used(last, newest) - (newest.at - started))
        used_share = min(max(share, before / used), 1.0)

    def then(before: float, after: float, share: float) -> float:
        return before + (after - before) * share

    return Reading(
        started,
        then(last.ran, reading.ran, used_share),
        then(last.waited, reading.waited, used_share),
        busy,
        round(then(last.turns, reading.turns, share)),
        round(then(last.faults, reading.faults, share)),
    )


def _used(before: Reading, after: Reading) -> float:
    """Seconds between two readings in which a thread ran or was ready to."""
    return after.ran - before.ran + after.waited - before.waited


def _spent(baseline: Reading, reading: Reading, ended: float) -> Spent:
    took = ended - baseline.at
    ran = min(max(reading.ran - baseline.ran, 0.0), took)
    starved = min(max(reading.waited - baseline.waited, 0.0), took)
    turns, faults = max(reading.turns - baseline.turns, 0), max(reading.faults - baseline.faults, 0)
    # One that slept was given a CPU afterwards. Without that, the host of a virtual machine had the CPU meanwhile.
    asleep = max(took - ran - starved, 0.0) if turns or not reading.turns else 0.0
    return Spent(ran, starved, asleep, turns, faults)


def _at(readings: list[Reading], when: float) -> float:
    """The time waited up to a moment: interpolated between two readings, that of the first before it."""
    index = bisect(readings, when, key=lambda reading: reading.at)
    if index in (0, len(readings)):
        return readings[min(index, len(readings) - 1)].waited
    before, after = readings[index - 1], readings[index]
    return before.waited + (after.waited - before.waited) * (when - before.at) / (after.at - before.at)
