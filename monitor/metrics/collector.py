"""Watches all workers of a set and keeps their aggregate, without asking for rows or stacks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from monitor.fleet.base import WITH_HOOKS_IN_C
from monitor.fleet.fleet import Fleet
from monitor.metrics.aggregate import Aggregate, Point
from monitor.metrics.reporter import Reporter

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.fleet.fleet import Worker as Watched
    from monitor.fleet.members import Members
    from monitor.metrics.reporter import News
    from monitor.trace.explain import Reason
    from monitor.transport.connection import Connection

RATE = 1.0
"""Ticks per second of each probe."""

WATCHED = {"rate": RATE, "rows": False, "events": ["slow_callback", "unhandled"]}


class Collector:
    """Connects to all workers and keeps their aggregate. `points` may be called from any thread."""

    def __init__(
        self,
        members: Members,
        connect: Callable[[str], Connection],
        top: int = 20,
        *,
        logs: bool = False,
        spans: bool = False,
    ) -> None:
        """`connect` opens the connection to the TARGET of one member, or raises LooptopError.

        `logs`: keep findings and slow callbacks for `report`. `spans`: keep the steps of tasks for it.
        """
        watched: dict[str, object] = {**WATCHED, "findings": logs}
        if spans:
            watched |= {"steps": "now", "events": ["slow_callback", "unhandled", "task_ended"]}
        self._fleet = Fleet(members, connect, watched, WITH_HOOKS_IN_C)
        self._aggregate = Aggregate(top)
        self._lock = threading.Lock()
        self._logs = logs
        self._spans = spans
        self._reporters: dict[int, Reporter] = {}

    def step(self) -> None:
        """Apply the frames since the last call, and search for new workers."""
        gone = {change.worker for change in self._fleet.step() if not change.joined}
        for worker, came in self._fleet.take():
            for frame in came:
                worker.store.apply(frame)
                if self._logs or self._spans:
                    self._reporter(worker).take(frame)
            with self._lock:  # also of a process that has gone: its last values count
                self._aggregate.worker(worker.slot).observe(worker.store)
        workers = self._fleet.workers
        with self._lock:
            for slot in gone - workers.keys():
                self._aggregate.worker(slot).gone()
            for slot, watched in workers.items():
                worker_now = self._aggregate.worker(slot)
                worker_now.up = watched.up
                if not watched.up:
                    worker_now.gone()

    def _reporter(self, worker: Watched) -> Reporter:
        found = self._reporters.get(worker.slot)
        if found is None or found.store is not worker.store:
            found = self._reporters[worker.slot] = Reporter(worker.store, logs=self._logs, spans=self._spans)
        return found

    def report(self, slowest: int) -> tuple[dict[int, list[News]], dict[int, list[Reason]]]:
        """Findings and slow callbacks since the last call, and why the slowest tasks since it were late, by worker."""
        news = {slot: reporter.news() for slot, reporter in self._reporters.items()}
        reasons = {slot: reporter.slowest(slowest) for slot, reporter in self._reporters.items()}
        for slot in self._reporters.keys() - self._fleet.workers.keys():
            del self._reporters[slot]
        return news, reasons

    def points(self) -> list[Point]:
        """The current value of every metric of all workers."""
        with self._lock:
            return self._aggregate.points()

    @property
    def up(self) -> int:
        """Number of workers that answer."""
        with self._lock:
            return sum(worker.up for worker in self._aggregate.workers.values())

    def problems(self) -> list[str]:
        """Why workers do not answer, one line each."""
        return [
            f"{worker.member.target}: {worker.problem}"
            for worker in self._fleet.workers.values()
            if worker.problem is not None
        ]

    def close(self) -> None:
        """Close the connections to all workers."""
        self._fleet.close()
