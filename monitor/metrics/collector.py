"""Watches all workers of a set and keeps the aggregate: a viewer without rows, stacks or a screen."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from monitor.metrics.aggregate import Aggregate, Point
from monitor.sources.live import LiveSource
from monitor.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.fleet.members import Member, Members
    from monitor.transport.connection import Connection

RATE = 1.0
"""Ticks that each probe sends per second."""
LOOK = 1.0
"""Seconds between two looks for workers that have come or gone."""
DRAIN = 0.25
WATCHED = {"rate": RATE, "rows": False, "events": ["slow_callback", "unhandled"]}


class _Watched:
    """One member: its source and its store."""

    def __init__(self, member: Member, connect: Callable[[str], Connection]) -> None:
        self.member = member
        self.store = Store()
        self.source = LiveSource(lambda: connect(member.target))
        self.source.watch(**WATCHED)
        self.source.start()


class Collector:
    """All of it. `points` may be called from any thread."""

    def __init__(self, members: Members, connect: Callable[[str], Connection], top: int = 20) -> None:
        """`connect` opens the connection to the TARGET of one member, or raises LooptopError."""
        self._members = members
        self._connect = connect
        self._aggregate = Aggregate(top)
        self._watched: dict[int, _Watched] = {}
        self._lock = threading.Lock()
        self._due = 0.0

    def step(self) -> None:
        """Takes in what came since the last call; looks for new workers when it is time."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + LOOK
            self._look()
        for slot, watched in list(self._watched.items()):
            for frame in watched.source.frames():
                watched.store.apply(frame)
            with self._lock:
                worker = self._aggregate.worker(slot)
                worker.up = watched.source.status.state == "connected"
                if worker.up:
                    worker.observe(watched.store)
                else:
                    worker.gone()

    def _look(self) -> None:
        found = {member.worker: member for member in self._members.look()}
        for slot, watched in list(self._watched.items()):
            member = found.get(slot)
            if member is None or member.target != watched.member.target:
                self._take_last(slot, self._watched.pop(slot))
        for slot, member in found.items():
            if slot not in self._watched:
                self._watched[slot] = _Watched(member, self._connect)

    def _take_last(self, slot: int, watched: _Watched) -> None:
        """What a process said before it went is counted."""
        for frame in watched.source.frames():
            watched.store.apply(frame)
        with self._lock:
            worker = self._aggregate.worker(slot)
            worker.observe(watched.store)
            worker.gone()
        watched.source.close()

    def points(self) -> list[Point]:
        """All values now."""
        with self._lock:
            return self._aggregate.points()

    @property
    def up(self) -> int:
        """How many workers answer."""
        with self._lock:
            return sum(worker.up for worker in self._aggregate.workers.values())

    def problems(self) -> list[str]:
        """Why workers that should be there do not answer, one line each."""
        return [
            f"{watched.member.target}: {watched.source.status.text or watched.source.status.state}"
            for watched in self._watched.values()
            if watched.source.status.state != "connected"
        ]

    def close(self) -> None:
        """Ends all connections."""
        for watched in self._watched.values():
            watched.source.close()
        self._watched.clear()
