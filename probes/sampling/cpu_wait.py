"""How long a callback was ready to run and got no processor: on a crowded machine it is long because of others.

The kernel counts for each thread how long it was ready and waited for a processor (schedstat, proc(5)). The watchdog
reads that figure at each look, and once more when a slow callback ends; the reading just before the callback is its
baseline. What the thread waited between that reading and the start is taken off by how long the loop was busy then.
The figure is 0.0 where the kernel does not tell.
"""

from __future__ import annotations

import os
from bisect import bisect
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..hooks.records import LoopRecord


MOST_READINGS = 400
"""Of a loop that does not tell when a callback starts (uvloop)."""


class Reading(NamedTuple):
    """What the thread of a loop had waited for a processor at a moment, and how busy the loop had been (s)."""

    at: float
    waited: float
    busy: float


class Starved:
    """What the threads of the loops have waited for a processor. Used by the watchdog."""

    def __init__(self) -> None:
        self._last: dict[int, Reading] = {}  # by id of the loop
        self._baselines: dict[int, tuple[float, float]] = {}  # of the callback that started then: what it began with
        self._unclocked: dict[int, deque[Reading]] = {}

    def look(self, records: Iterable[LoopRecord]) -> None:
        """Reads the figures of all loops; forgets those that are not there."""
        known = {record.id: record for record in records}
        for gone in self._last.keys() - known.keys():
            del self._last[gone]
            self._baselines.pop(gone, None)
            self._unclocked.pop(gone, None)
        for record in known.values():
            started, busy = record.started, record.busy
            last = self._last.get(record.id)
            if last is not None and not started and record.clocked and busy == last.busy:
                self._last[record.id] = last._replace(at=monotonic())  # it has done nothing since
                continue
            reading = _read(record, started, busy)
            if started and last is not None and last.at < started:
                self._baselines[record.id] = started, _before(last, reading, started, busy)
            if not record.clocked:
                self._unclocked.setdefault(record.id, deque(maxlen=MOST_READINGS)).append(reading)
            self._keep(record, reading)

    def since(self, record: LoopRecord, started: float, busy: float, ended: float = 0.0) -> float:
        """How much of a callback that goes on, or ends now, was waiting for a processor (s).

        `busy` is what the loop had been busy when the callback started.
        """
        last, baseline = self._last.get(record.id), self._baselines.get(record.id)
        reading = _read(record, started, busy)
        if baseline is not None and baseline[0] == started:
            before = baseline[1]
        elif last is not None and last.at <= reading.at:
            before = _before(last, reading, started, busy)
        else:
            return 0.0
        if ended:  # so that what follows at once has a baseline of its own
            self._keep(record, reading)
        return min(max(reading.waited - before, 0.0), (ended or reading.at) - started)

    def between(self, record: LoopRecord, begin: float, end: float) -> float:
        """How much of a stretch of time was waiting for a processor (s); for loops that are not clocked."""
        readings = [*self._unclocked.get(record.id, ()), _read(record, 0.0, 0.0)]
        return min(max(_at(readings, end) - _at(readings, begin), 0.0), end - begin)

    def forget(self) -> None:
        """Begins anew."""
        self._last.clear()
        self._baselines.clear()
        self._unclocked.clear()

    def _keep(self, record: LoopRecord, reading: Reading) -> None:
        last = self._last.get(record.id)
        if last is None or last.at < reading.at:  # another thread may have been quicker
            self._last[record.id] = reading


def _read(record: LoopRecord, started: float, busy: float) -> Reading:
    at = monotonic()
    return Reading(at, waited(record.thread_native), busy + (at - started if started else 0.0))


def _before(last: Reading, reading: Reading, started: float, busy: float) -> float:
    """What a callback began with, between two readings: who was ready for how long tells who waited."""
    others = min(max(busy - last.busy, 0.0), max(started - last.at, 0.0))
    own = max(reading.at - max(started, last.at), 1e-9)
    return last.waited + (reading.waited - last.waited) * others / (others + own)


def _at(readings: list[Reading], when: float) -> float:
    """What had been waited at a moment: between two readings in proportion, before the first what that says."""
    index = bisect(readings, when, key=lambda reading: reading.at)
    if index in (0, len(readings)):
        return readings[min(index, len(readings) - 1)].waited
    before, after = readings[index - 1], readings[index]
    return before.waited + (after.waited - before.waited) * (when - before.at) / (after.at - before.at)


def waited(native: int) -> float:
    """Seconds for which a thread of this process was ready and got no processor."""
    try:
        file = os.open(f"/proc/self/task/{native}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0.0
    try:
        return int(os.read(file, 100).split()[1]) * 1e-9
    except (OSError, ValueError, IndexError):
        return 0.0
    finally:
        os.close(file)
