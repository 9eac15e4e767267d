"""Replays a recorded set: a player for each process, all at the same moment, as a fleet for the Service screen."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.fleet.fleet import Change
from monitor.fleet.members import Member
from monitor.recording.player import RecordingSource
from monitor.recording.reader import Recording
from monitor.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.protocol.frames import Frame
    from monitor.recording.of_set import Part, RecordedSet


@dataclass(slots=True)
class RecordedWorker:
    """One process of a recorded set, while its recording is played."""

    part: Part
    source: RecordingSource
    store: Store = field(default_factory=Store)

    @property
    def slot(self) -> int:
        """Number of the worker."""
        return self.part.worker

    @property
    def pid(self) -> int | None:
        """The pid that it had."""
        return self.part.pid

    @property
    def member(self) -> Member:
        """The recording as a TARGET."""
        return Member(self.part.worker, self.part.target, self.part.pid)

    @property
    def up(self) -> bool:
        """A recording always answers."""
        return True

    @property
    def problem(self) -> str | None:
        """Nothing keeps it from answering."""
        return None

    def close(self) -> None:
        """Close the recording of this worker."""
        self.source.close()


class RecordedFleet:
    """The processes of a recorded set as they come and go while it is played."""

    elsewhere = False

    def __init__(
        self,
        recorded: RecordedSet,
        speed: float = 1.0,
        begin: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`begin`: Unix time of the first moment that is shown."""
        self.workers: dict[int, RecordedWorker] = {}
        self._recorded = recorded
        self._speed = speed
        self._clock = clock
        self._begin = recorded.start if begin is None else begin
        self._started = clock()

    @property
    def moment(self) -> float:
        """The Unix time that is shown."""
        return min(self._begin + (self._clock() - self._started) * self._speed, self._recorded.end)

    def step(self) -> list[Change]:
        """Begin and end players where processes came and went; return these changes."""
        moment = self.moment
        there = {part.worker: part for part in self._recorded.at(moment)}
        changes = []
        for slot, worker in list(self.workers.items()):
            if there.get(slot) is not worker.part:
                self.workers.pop(slot).close()
                changes.append(Change(False, worker.part.end, slot, worker.pid, "its recording has ended"))
        for slot, part in there.items():
            if slot not in self.workers:
                self.workers[slot] = self._player(part, moment)
                changes.append(Change(True, part.start, slot, part.pid, None))
        return changes

    def take(self) -> Iterator[tuple[RecordedWorker, list[Frame]]]:
        """Yield the frames since the last call, by worker."""
        for worker in list(self.workers.values()):
            came = worker.source.frames()
            if came:
                yield worker, came

    def open(self, slot: int) -> RecordingSource | None:
        """A player of its own for a worker, at the same moment; None if there is none."""
        worker = self.workers.get(slot)
        if worker is None:
            return None
        position = max(self.moment - worker.part.start, 0.0)
        return RecordingSource(Recording(worker.part.path), speed=self._speed, position=position)

    def close(self) -> None:
        """Close the recordings of all workers."""
        for worker in self.workers.values():
            worker.close()
        self.workers.clear()

    def _player(self, part: Part, moment: float) -> RecordedWorker:
        position = max(moment - part.start, 0.0)
        source = RecordingSource(Recording(part.path), speed=self._speed, position=position, clock=self._clock)
        worker = RecordedWorker(part, source)
        worker.store.worker = part.worker
        source.start()
        return worker
