"""Watches a set of programs: a connection and a store for each process, as they come and go."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.attach import boxes
from monitor.attach.processes import image_of
from monitor.fleet.ends import End
from monitor.protocol.frames import Hello
from monitor.sources.live import LiveSource
from monitor.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from monitor.findings.rules.engine import Findings
    from monitor.fleet.members import Member, Members
    from monitor.protocol.frames import Frame
    from monitor.transport.connection import Connection

LOOK = 0.5
"""Seconds between two searches for processes that have come or gone."""
MOST_CHANGES = 1000
FIND_EVERY = 0.9
"""Seconds between two evaluations of findings, by the clock of the program."""


@dataclass(frozen=True, slots=True)
class Change:
    """A process that has joined a slot or left it."""

    joined: bool
    at: float
    worker: int
    pid: int | None
    reason: str | None  # why it left, if known
    box: str | None = None  # the file of the black box that it left


class Worker:
    """One process of the set: its connection, and the store that its frames are applied to."""

    def __init__(self, member: Member, connect: Callable[[str], Connection], watched: Mapping[str, object]) -> None:
        self.member = member
        self.store = Store()
        self.store.worker = member.worker
        self.pid = member.pid
        self.end = None if member.pid is None else End(member.pid)
        self.source = LiveSource(lambda: connect(member.target))
        self.source.watch(**watched)
        self._found_at = 0.0
        self._image = None if member.pid is None else image_of(member.pid)

    @property
    def slot(self) -> int:
        """The slot of the worker. A process that replaces it gets the same slot."""
        return self.member.worker

    @property
    def up(self) -> bool:
        """Whether the worker is connected and answers."""
        return self.source.status.state == "connected"

    @property
    def entering(self) -> bool:
        """Whether the first connection to it is being made, which may take an injection."""
        status = self.source.status
        return status.state == "connecting" and not status.text

    @property
    def problem(self) -> str | None:
        """Why it does not answer; None if it does."""
        return None if self.up else self.source.status.text or self.source.status.state

    def is_another_program(self) -> bool:
        """Whether the process has executed another program since the last call, as far as that is visible."""
        before, self._image = self._image, None if self.member.pid is None else image_of(self.member.pid)
        return None not in (before, self._image) and before != self._image

    @property
    def owner(self) -> int | None:
        """The user id of the program, if the kernel vouches for it."""
        return self.source.owner

    def find(self, findings: Findings, budget: float) -> None:  # noqa: ARG002 - as for recorded ones
        """Evaluate the rules, once a second: with dozens of workers they cost as much as the frames."""
        if not 0.0 <= self.store.now - self._found_at < FIND_EVERY:
            self._found_at = self.store.now
            findings.evaluate(self.store)

    def close(self) -> None:
        """Close the connection. Its thread may take a while to end."""
        self.source.close(wait=False)
        if self.end is not None:
            self.end.close()


class Fleet:
    """All processes of a set. One thread calls `step` and `take` repeatedly.

    The processes of the first step are connected to in the second one, so that the first one is fast: the programs of
    a large set keep all processors busy with their answers, while the screen that shows them has still to be loaded.
    One that comes later is connected to at once.
    """

    recorded = False

    def __init__(
        self,
        members: Members,
        connect: Callable[[str], Connection],
        watched: Mapping[str, object],
        with_hooks_in_c: Mapping[str, object] | None = None,
    ) -> None:
        """`connect` opens the connection to a member's TARGET; `watched`:

        fields of the `watch` frame for each probe, and `with_hooks_in_c` more of them for those where it is free.
        """
        self.workers: dict[int, Worker] = {}  # by slot
        self.changes: deque[Change] = deque(maxlen=MOST_CHANGES)  # newest last
        self._members = members
        self._connect = connect
        self._watched = dict(watched)
        self._with_hooks_in_c = dict(with_hooks_in_c or {})
        self._due = 0.0
        self._farewell: deque[tuple[Worker, list[Frame]]] = deque()  # last frames of processes that have gone
        self._turn = 0  # whose frames come first
        self._seen: dict[int, str] = {}  # the session that has joined each slot
        self._changed: list[Change] = []

    @property
    def elsewhere(self) -> bool:
        """Whether some of the TARGETs are on other machines."""
        return self._members.elsewhere

    def step(self) -> list[Change]:
        """Search for processes that have come or gone if it is time to; return the changes since the last call."""
        now = time.monotonic()
        first = not self._due
        if now >= self._due:
            self._due = now + LOOK
            self._look()
        if not first:
            for worker in self.workers.values():
                worker.source.start()
        return self.changed()

    def changed(self) -> list[Change]:
        """Return the changes since the last call without a search."""
        changed, self._changed = self._changed, []
        self.changes += changed
        return changed

    def take(self) -> Iterator[tuple[Worker, list[Frame]]]:
        """Yield the frames since the last call, by worker. The caller applies them to `worker.store`.

        It may stop early: the next call goes on with the worker after the last one.
        """
        while self._farewell:
            yield self._farewell.popleft()
        workers = list(self.workers.values())
        turn = self._turn % max(len(workers), 1)
        for worker in workers[turn:] + workers[:turn]:
            self._turn += 1
            came = worker.source.frames()
            if came:
                self._hear(worker, came)
                yield worker, came

    def watch(self, **what: object) -> None:
        """Change the subscription of every probe."""
        self._watched.update(what)
        for worker in self.workers.values():
            worker.source.watch(**what)

    def close(self) -> None:
        """Close the connections to all workers."""
        for worker in self.workers.values():
            worker.close()
        for worker in self.workers.values():
            if worker.up:
                worker.source.close()
        self.workers.clear()

    def _look(self) -> None:
        found = {member.worker: member for member in self._members.scan()}
        for slot, worker in list(self.workers.items()):
            member = found.get(slot)
            if member is None or member.target != worker.member.target:
                self._let_go(self.workers.pop(slot))
        for slot, member in found.items():
            if slot not in self.workers:
                self.workers[slot] = Worker(member, self._connect, self._watched)

    def _let_go(self, worker: Worker) -> None:
        came = worker.source.frames()
        if came:
            self._hear(worker, came)
            self._farewell.append((worker, came))
        status = self._members.status_of(worker.member) if worker.end is None else worker.end.status()
        # A pid on another machine may be that of another program here.
        box = None if worker.pid is None or worker.end is None else boxes.of_process(worker.pid)
        if box is not None and status is not None:
            boxes.note_status(box, status)
            box = boxes.of_process(box.heading.pid)
        reason = boxes.end_text(status) if status is not None else None
        if box is not None:
            reason = box.how
        path = None if box is None else str(box.path)
        self._changed.append(Change(False, time.time(), worker.slot, worker.pid, reason, path))
        self._seen.pop(worker.slot, None)
        worker.close()

    def _hear(self, worker: Worker, came: list[Frame]) -> None:
        """Note the first hello of a process, or another process that answers in its place."""
        for frame in came:
            if isinstance(frame, Hello) and self._seen.get(worker.slot) != frame.session:
                if worker.slot in self._seen:
                    reason = "executed another program" if worker.is_another_program() else "its probe was replaced"
                    self._changed.append(Change(False, time.time(), worker.slot, worker.pid, reason))
                self._seen[worker.slot] = frame.session
                without = {key: self._watched.get(key, False) for key in self._with_hooks_in_c}
                worker.source.watch(**(self._with_hooks_in_c if frame.hooks == "C" else without))
                worker.pid = frame.pid
                self._changed.append(Change(True, time.time(), worker.slot, worker.pid, None))
