"""Watches all workers of a set and keeps the aggregate: a viewer without rows, stacks or a screen."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from monitor.fleet.fleet import Fleet
from monitor.metrics.aggregate import Aggregate, Point
from monitor.protocol.frames import Hello

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.fleet.members import Members
    from monitor.transport.connection import Connection

RATE = 1.0
"""Ticks per second of each probe."""

WATCHED = {"rate": RATE, "rows": False, "events": ["slow_callback", "unhandled"]}


class Collector:
    """Connects to all workers and keeps their aggregate. `points` may be called from any thread."""

    def __init__(self, members: Members, connect: Callable[[str], Connection], top: int = 20) -> None:
        """`connect` opens the connection to the TARGET of one member, or raises LooptopError."""
        self._fleet = Fleet(members, connect, WATCHED)
        self._aggregate = Aggregate(top)
        self._lock = threading.Lock()

    def step(self) -> None:
        """Apply the frames since the last call, and search for new workers."""
        gone = {change.worker for change in self._fleet.step() if not change.joined}
        for worker, came in self._fleet.take():
            for frame in came:
                worker.store.apply(frame)
                if isinstance(frame, Hello):  # hooks in Python would begin to count for it
                    worker.source.watch(groups=frame.hooks == "C")
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
