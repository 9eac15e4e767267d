"""Writes events to the journal: ends of tasks, slow callbacks, unhandled exceptions, notices.

Events from other threads are queued until the probe's thread writes them. Every queue is bounded; dropped events are
counted and dated.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..base import protocol, sites
from ..base.task_facts import coro_name, task_name
from ..hooks import accounting, cancellation, install, reading
from ..hooks.records import Failure
from . import gil_wait
from .rows import microseconds

if TYPE_CHECKING:
    from ..base.sites import Tables
    from ..hooks.records import TaskRecord
    from ..hooks.unawaited import UnawaitedCoroutine
    from .journal import Journal
    from .rows import Clock
    from .slow_callback import SlowCallback

MOST_ENDS_A_TICK = 500
"""Most ends reported one by one in a tick, failures first; the creation sites count the rest."""
MOST_NOTICES = 100
MOST_UNHANDLED = 1000
"""Most unhandled exceptions that wait to be written."""


class Events:
    """Writes the journal of a probe."""

    def __init__(self, journal: Journal, tables: Tables, clock: Clock) -> None:
        self.dropped = 0
        self.unnamed = 0  # of the dropped: ends without failure, which their site counts
        self.dropped_at: int | None = None
        self._journal = journal
        self._tables = tables
        self._clock = clock
        self._notices: list[str] = []
        self._unhandled: list[tuple[str, Failure | None, TaskRecord | None, str | None, str]] = []

    # From any thread

    def notice(self, text: str) -> None:
        """Queues one line for the viewers."""
        if len(self._notices) < MOST_NOTICES:
            self._notices.append(text[:1000])

    def unhandled(self, context: dict[str, Any]) -> None:
        """Queues the context that a loop's exception handler was called with."""
        error = context.get("exception")
        task = context.get("task") or context.get("future")
        record = install.record_of(task) if isinstance(task, asyncio.Task) else None
        failure = Failure(error) if isinstance(error, BaseException) else None
        name, coro = (task_name(task), coro_name(task)) if isinstance(task, asyncio.Task) else (None, "")
        if len(self._unhandled) < MOST_UNHANDLED:
            message = str(context.get("message") or "unhandled exception")
            self._unhandled.append((message, failure, record, name, coro))
        else:
            self.drop(1)

    # The probe's thread

    def write_down(self) -> None:
        """Writes the events that other threads have queued."""
        while self._notices:
            self._journal.add("notice", text=self._notices.pop(0))
        while self._unhandled:
            self._write_unhandled(*self._unhandled.pop(0))

    def drop(self, number: int) -> None:
        """Counts and dates events that viewers will not see."""
        self.dropped += number
        self.dropped_at = self._clock.unix()

    def leave_unnamed(self, number: int) -> None:
        """Drops ends that their creation site counts: only their names are missing."""
        self.drop(number)
        self.unnamed += number

    def ends(self, ended: list[TaskRecord]) -> None:
        """Writes the ends of tasks since the last look, as far as the limit for a tick allows."""
        # Also tasks that no viewer knows. The hooks leave the name out beyond their own limit.
        named = [record for record in ended if record.failure is not None or record.name is not None]
        if len(named) > MOST_ENDS_A_TICK:
            failed = [record for record in named if record.outcome == protocol.FAILED]
            # Those whose traceback was read go last, so that they are kept.
            failed = sorted(failed, key=lambda record: record.failure is not None and record.failure.read)
            failed = failed[-MOST_ENDS_A_TICK:]
            others = [record for record in named if record.outcome != protocol.FAILED]
            named = failed + others[: MOST_ENDS_A_TICK - len(failed)]
        if len(named) < len(ended):
            self.leave_unnamed(len(ended) - len(named))
        for record in sorted(named, key=lambda record: record.ended):
            self._write_end(record)

    def _write_end(self, record: TaskRecord) -> None:
        whole = record.counted is None
        if record.name is None:
            record.name = reading.read(record, task_name) or ""
        self._journal.add(
            "task_ended",
            self._clock.unix(record.ended),
            task=record.id,
            name=record.name[:300],
            coro=(record.coro or "")[:300],
            outcome=protocol.STATES[record.outcome],
            exception=self._exception(record.failure),
            age=None if record.born is None else microseconds(record.ended - record.born),
            busy=microseconds(record.busy) if whole else None,
            scheduled=microseconds(record.scheduled) if whole and record.loop and record.loop.schedules else None,
            steps=record.steps if whole else None,
            max_step=microseconds(record.max_step) if whole else None,
            site=record.site,
            parent=record.parent,
            loop=record.loop.id if record.loop else 0,
            label=record.label,
            **cancellation.facts(accounting.settled.pop(record.id, None), self._tables),
        )

    def _exception(self, failure: Failure | None) -> dict[str, Any] | None:
        if failure is None:
            return None
        shown = [
            index
            for index, (code, _) in enumerate(failure.traceback)
            if sites.plumbing[code.co_filename] != sites.BOUNDARY
        ]
        traceback = [self._tables.site(*failure.traceback[index]) for index in shown]
        facts: dict[str, Any] = {"type": failure.type, "message": failure.message, "traceback": traceback}
        if failure.locals is not None:
            facts["locals"] = [failure.locals[index] for index in shown]
        return facts

    def slow_callback(self, slow: SlowCallback) -> None:
        """Writes a slow callback that the watchdog has caught."""
        stack, _ = slow.heaviest()
        self._journal.add(
            "slow_callback",
            self._clock.unix(slow.ended),
            loop=slow.loop,
            duration=microseconds(slow.duration),
            at_least=slow.at_least,
            starved=microseconds(slow.starved),
            throttled=microseconds(slow.throttled),
            faults=slow.faults,
            task=slow.task or None,
            name=slow.name[:300] if slow.task else None,
            callback=slow.callback[:300],
            **({} if slow.label is None else {"label": slow.label}),
            stack=[self._tables.site(code, line) for code, line in stack],
            blame=sites.blamed(list(stack)),
            samples=len(slow.samples),
            **{name: microseconds(seconds) for name, seconds in slow.reasons().items() if seconds},
            **gil_wait.facts(slow.waited, self._tables),
        )

    def _write_unhandled(
        self, message: str, failure: Failure | None, record: TaskRecord | None, name: str | None, coro: str
    ) -> None:
        self._journal.add(
            "unhandled",
            message=message[:500],
            exception=self._exception(failure),
            task=record.id if record is not None else None,
            name=name[:300] if name is not None else None,
            coro=coro[:300],
            label=getattr(record, "label", None),  # absent while nothing is counted (hooks in Python)
            site=self._tables.site_at(record.code, record.lasti) if record is not None else 0,
        )

    def unawaited(self, found: UnawaitedCoroutine) -> None:
        """Writes a coroutine that was never awaited."""
        self._journal.add(
            "never_awaited",
            coro=found.name[:300],
            site=self._tables.site(found.code, found.code.co_firstlineno) if found.code is not None else 0,
            stack=[self._tables.site(code, line) for code, line in found.stack],
            blame=sites.blamed(found.stack),
            text="made here" if found.made_here else "dropped here",
        )
