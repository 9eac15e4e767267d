"""Replays a recorded set: a player for each process, all at the same moment, as a fleet for the Service screen."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from monitor.findings.rules.engine import Findings
from monitor.findings.rules.replay import Replay
from monitor.fleet.fleet import Change
from monitor.fleet.members import Member
from monitor.recording.file_format import Marker
from monitor.recording.player import Playback, RecordingSource
from monitor.recording.reader import Recording
from monitor.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.protocol.frames import Frame
    from monitor.recording.of_set import Part, RecordedSet

STEP = 0.5
"""Seconds of one step. The ticks of the processes fall on different moments; each has one in this time."""


@dataclass(slots=True)
class RecordedWorker:
    """One process of a recorded set, while its recording is played."""

    part: Part
    source: RecordingSource
    store: Store = field(default_factory=Store)
    _replay: Replay | None = field(default=None, init=False)

    @property
    def slot(self) -> int:
        """The slot of the worker."""
        return self.part.worker

    @property
    def pid(self) -> int | None:
        """The pid of the recorded process."""
        return self.part.pid

    @property
    def member(self) -> Member:
        """The recording as a TARGET."""
        return Member(self.part.worker, self.part.target, self.part.pid)

    @property
    def up(self) -> bool:
        """Always true: a recording can be read at any time."""
        return True

    @property
    def entering(self) -> bool:
        """Always false: nothing is injected into a recording."""
        return False

    @property
    def problem(self) -> str | None:
        """Always None: a recording can be read at any time."""
        return None

    @property
    def owner(self) -> int | None:
        """The user id of the program, which recordings do not have."""
        return self.source.owner

    def find(self, findings: Findings, budget: float) -> None:
        """Show the findings of the moment, as a viewer from the start of the recording would have them."""
        if self._replay is None:
            self._replay = Replay(self.source.recording, findings.thresholds)
        found = self._replay.at(self.source.moment, budget)
        findings.show(Findings() if found is None else found)

    def close(self) -> None:
        """Close the recording of this worker."""
        self.source.close()


class RecordedFleet(Playback):
    """The processes of a recorded set as they come and go while it is played. Positions are seconds since its start.

    The clock of the players is the moment that is shown: when that stands still, jumps or runs fast, so do they.
    """

    elsewhere = False
    recorded = True

    def __init__(
        self,
        recorded: RecordedSet,
        speed: float = 1.0,
        begin: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`begin`: Unix time at which to start; None: the start of the recorded set."""
        self.workers: dict[int, RecordedWorker] = {}
        super().__init__(speed, True, clock)
        self._recorded = recorded
        self._at = recorded.start if begin is None else begin
        self._turn = 0

    # Interface of a fleet

    def step(self) -> list[Change]:
        """Start and close players for processes that came and went; return those changes."""
        played = self._played()
        if played > 0:
            self._at = min(self._at + played, self._recorded.end)
            self._playing = not self.at_end
        return self._place()

    def changed(self) -> list[Change]:
        """Return nothing: `step` returns all changes."""
        return []

    def take(self) -> Iterator[tuple[RecordedWorker, list[Frame]]]:
        """Yield the frames since the last call, by worker; one that stops early goes on there the next time."""
        workers = list(self.workers.values())
        turn = self._turn % max(len(workers), 1)
        for worker in workers[turn:] + workers[:turn]:
            self._turn += 1
            came = worker.source.frames()
            if came:
                yield worker, came

    def watch(self, **what: object) -> None:
        """Do nothing: nothing more can be requested of a recording."""

    def close(self) -> None:
        """Close the recordings of all workers."""
        for worker in self.workers.values():
            worker.close()
        self.workers.clear()

    def open(self, slot: int) -> RecordingSource | None:
        """A player of its own for a worker, at the same moment; None if there is none."""
        worker = self.workers.get(slot)
        if worker is None:
            return None
        position = max(self.moment - worker.part.start, 0.0)
        return RecordingSource(Recording(worker.part.path), speed=self.speed, position=position, playing=self.playing)

    def go_on_from(self, source: object) -> None:
        """Show the moment at which the player of a worker was left, at its speed; pause if it was paused."""
        if isinstance(source, RecordingSource):
            self.speed, self._playing = source.speed, source.playing
            self.seek(source.moment * 1e-6 - self._recorded.start)

    # Playing

    @property
    def moment(self) -> float:
        """The Unix time that is shown."""
        return self._at

    @property
    def start_time(self) -> float:
        """Unix time of the start of the first recording."""
        return self._recorded.start

    @property
    def duration(self) -> float:
        """Seconds from there to the end of the last one."""
        return self._recorded.end - self._recorded.start

    @property
    def position(self) -> float:
        """The position in seconds since the start."""
        return self._at - self._recorded.start

    @property
    def at_end(self) -> bool:
        """Whether the end is shown."""
        return self._at >= self._recorded.end

    @cached_property
    def markers(self) -> list[Marker]:
        """The markers of all recordings, each with its worker."""
        found = []
        for part in self._recorded.parts:
            with Recording(part.path) as recording:
                found += [
                    Marker(mark.at, mark.kind, f"worker {part.worker}: {mark.text}") for mark in recording.markers()
                ]
        return sorted(found, key=lambda mark: mark.at)

    def seek(self, position: float) -> None:
        """Seek to a position, clamped to the recordings. Processes come and go without being reported."""
        recorded = self._recorded
        self._at = min(max(recorded.start + position, recorded.start), recorded.end)
        self._looked = self._clock()
        there = list(self.workers.values())
        self._place()
        for worker in there:
            if self.workers.get(worker.slot) is worker:
                worker.source.play()  # it stopped if its recording has ended
                worker.source.seek(max(self._at - worker.part.start, 0.0))

    def step_by(self, direction: int = 1) -> None:
        """Go forward, or back with -1, by a step, and pause."""
        self._playing = False
        self.seek(self.position + direction * STEP)

    def next_marker(self) -> Marker | None:
        """Seek to the next marker and return it; None if there is none."""
        return self._jump([mark for mark in self.markers if mark.at * 1e-6 > self._at + 1e-6][:1])

    def previous_marker(self) -> Marker | None:
        """Seek to the previous marker and return it; None if there is none."""
        return self._jump([mark for mark in self.markers if mark.at * 1e-6 < self._at - 1e-6][-1:])

    def _jump(self, found: list[Marker]) -> Marker | None:
        for mark in found:
            self.seek(mark.at * 1e-6 - self._recorded.start)
            return mark
        return None

    def _place(self) -> list[Change]:
        """Begin and end players for the moment."""
        there = {part.worker: part for part in self._recorded.at(self._at)}
        changes = []
        for slot, worker in list(self.workers.items()):
            if there.get(slot) is not worker.part:
                self.workers.pop(slot).close()
                changes.append(Change(False, worker.part.end, slot, worker.pid, "its recording has ended"))
        for slot, part in there.items():
            if slot not in self.workers:
                self.workers[slot] = self._player(part)
                changes.append(Change(True, part.start, slot, part.pid, None))
        return changes

    def _player(self, part: Part) -> RecordedWorker:
        position = max(self._at - part.start, 0.0)
        source = RecordingSource(Recording(part.path), position=position, clock=lambda: self._at)
        worker = RecordedWorker(part, source)
        worker.store.worker = part.worker
        source.start()
        return worker
