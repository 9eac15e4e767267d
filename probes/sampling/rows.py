"""Task rows and facts in the protocol's format and units."""

from __future__ import annotations

from time import monotonic, time
from typing import TYPE_CHECKING, Any

from ..base import protocol
from ..base.task_facts import coro_name, task_name
from ..hooks import loops

if TYPE_CHECKING:
    from ..base.sites import Tables
    from ..hooks.records import SiteCounts, TaskRecord

_AT_ONCE = 1e-4
"""Seconds within which both clocks are to be read."""
_MOST_READINGS = 20


class Clock:
    """One anchor between the monotonic clock and Unix time."""

    def __init__(self) -> None:
        readings: list[tuple[float, float]] = []
        while len(readings) < _MOST_READINGS and (not readings or readings[-1][0] > _AT_ONCE):
            before, unix, after = monotonic(), time(), monotonic()
            readings.append((after - before, unix - before))
        self._offset = min(readings)[1]  # the machine may stand still between two readings

    def unix(self, at: float | None = None) -> int:
        """Unix microseconds of a moment of `time.monotonic`, now if it is left out."""
        return round(((monotonic() if at is None else at) + self._offset) * 1e6)


def microseconds(seconds: float) -> int:
    """A duration in the protocol's unit, whole microseconds."""
    return round(seconds * 1e6)


def static_of(task: Any, record: TaskRecord, tables: Tables, clock: Clock) -> list[Any]:
    """The protocol.TASK_STATIC of a live task. Called by `reading.read`."""
    return [
        record.id,
        task_name(task)[:300],
        tables.string(coro_name(task)),
        record.loop.id if record.loop is not None else 0,
        None if record.born is None else clock.unix(record.born),
        None if record.counted is None else clock.unix(record.counted),
        record.parent,
        tables.site_at(record.code, record.lasti),
        (protocol.BORN_BEFORE_ATTACH if record.predates_probe else 0) | (protocol.EAGER if record.eager else 0),
    ]


def row_of(record: TaskRecord, label: int = 0) -> list[Any] | None:
    """The protocol.TASK_ROW of a task as it is now; None for one collected before its end. `label`: a string."""
    loop = record.loop
    since = loop.since if loop is not None else 0.0
    state = record.outcome or loops.state_of(record)
    if state < 0:
        return None
    now = monotonic()
    # After the state, so that those of an end are all there, and at once.
    steps, busy, longest, scheduled = record.steps, record.busy, record.max_step, record.scheduled
    if state == protocol.RUNNING and loop is not None and since and loop.since == since:  # else of another callback
        open_interval = max(now - since, 0.0)
        busy += open_interval
        longest = max(longest, open_interval)
    queued = None if loop is None or not loop.schedules else microseconds(scheduled)
    return [record.id, state, steps, microseconds(busy), queued, microseconds(longest), label]


def site_row(counts: SiteCounts) -> list[Any]:
    """The protocol.SITE_ROW of a creation site."""
    ends = [counts.born, counts.ended, counts.failed, counts.cancelled]
    return [counts.site, *ends, microseconds(counts.busy), counts.steps]
