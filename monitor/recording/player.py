"""Plays a recording as a source for the dashboard: play, pause, step, speed and seek.

A seek yields a keyframe, which replaces the state of the store, so every screen works unchanged. The clock is injected:
nothing moves unless time passes.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from monitor.protocol.frames import Frame, Hello
from monitor.protocol.keyframes import Keyframe
from monitor.recording.file_format import Damaged, Marker
from monitor.recording.reader import Recording
from monitor.sources.base import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
FARTHEST = 20.0
"""Seconds played frame by frame between two calls of `frames`; a longer distance is a seek."""


class Playable(Protocol):
    """What is replayed. Positions are seconds since its start."""

    @property
    def start_time(self) -> float:
        """Unix time of the start."""

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the last."""

    @property
    def position(self) -> float:
        """The position that is shown."""

    @property
    def playing(self) -> bool:
        """Whether it is playing."""

    @property
    def speed(self) -> float:
        """How many times as fast as it was recorded."""

    @property
    def markers(self) -> Sequence[Marker]:
        """What one can jump to, in order of time."""

    def play(self) -> None:
        """Play on; at the end, start over."""

    def pause(self) -> None:
        """Stop playing; the position stays."""

    def faster(self, steps: int = 1) -> float:
        """Select the next higher speed, or the next lower one with -1, and return it."""

    def seek(self, position: float) -> None:
        """Seek to a position."""

    def step_by(self, direction: int = 1) -> None:
        """Go forward by a step, or back with -1, and pause."""

    def next_marker(self) -> Marker | None:
        """Seek to the next marker and return it; None if there is none."""

    def previous_marker(self) -> Marker | None:
        """Seek to the previous marker and return it; None if there is none."""


class Playback(ABC):
    """Plays, pauses and changes the speed, by a clock."""

    def __init__(self, speed: float, playing: bool, clock: Callable[[], float]) -> None:
        self.speed = min(max(speed, SPEEDS[0]), SPEEDS[-1])
        self._clock = clock
        self._playing = playing
        self._looked = clock()

    @property
    @abstractmethod
    def at_end(self) -> bool:
        """Whether there is nothing more to play."""

    @abstractmethod
    def seek(self, position: float) -> None:
        """Seek to a position, in seconds since the start."""

    @property
    def playing(self) -> bool:
        """Whether it is playing."""
        return self._playing

    def play(self) -> None:
        """Play on; at the end, start over."""
        if self.at_end:
            self.seek(0.0)
        self._looked = self._clock()
        self._playing = True

    def pause(self) -> None:
        """Stop playing; the position stays."""
        self._playing = False

    def faster(self, steps: int = 1) -> float:
        """Select the next higher speed, or the next lower one with -1, and return it."""
        nearest = min(range(len(SPEEDS)), key=lambda number: abs(SPEEDS[number] - self.speed))
        self.speed = SPEEDS[min(max(nearest + steps, 0), len(SPEEDS) - 1)]
        return self.speed

    def _played(self) -> float:
        """Seconds of what is played that have passed since the last call; 0.0 while it is paused."""
        now = self._clock()
        elapsed, self._looked = now - self._looked, now
        return elapsed * self.speed if self._playing and elapsed > 0 else 0.0


class RecordingSource(Playback):
    """The frames of a recording. Positions are seconds since its start."""

    def __init__(
        self,
        recording: Recording,
        *,
        speed: float = 1.0,
        position: float = 0.0,
        playing: bool = True,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(speed, playing, clock)
        self.recording = recording
        self.markers: list[Marker] = recording.markers()
        self._wall = wall
        self._at = recording.start + round(position * 1e6)
        self._pending: list[Frame] = []
        self._block = self._next = 0  # the block, and its first frame not yet yielded
        self._reported: tuple[str, ...] = ()
        self.status = Status("replay", "", wall())
        self.owner: int | None = None

    # Interface of a source

    def start(self) -> None:
        """Yield the state at the initial position."""
        self._looked = self._clock()
        self.seek(self.position)

    def frames(self) -> list[Frame]:
        """Return the frames since the last call, by clock and speed."""
        played = self._played()
        if played > 0:
            self._advance(self._at + round(played * 1e6))
            if self.at_end:
                self._playing = False
        came, self._pending = self._pending, []
        self._say()
        return came

    def watch(self, **what: Any) -> None:
        """Do nothing: a recording holds what it holds."""

    def request(self, op: str, **arguments: Any) -> int:  # noqa: ARG002 - interface of a source
        """Return 0: no probe is there to answer."""
        return 0

    def close(self) -> None:
        """Close the file of the recording; nothing can be played afterwards."""
        self.recording.close()

    # Playing

    @property
    def start_time(self) -> float:
        """Unix time of the start."""
        return self.recording.start * 1e-6

    @property
    def duration(self) -> float:
        """Length of the recording in seconds."""
        return self.recording.duration

    @property
    def position(self) -> float:
        """The position in seconds since the start."""
        return (self._at - self.recording.start) * 1e-6

    @property
    def moment(self) -> int:
        """The position as Unix microseconds."""
        return self._at

    @property
    def at_end(self) -> bool:
        """Whether the end is shown."""
        return self._at >= self.recording.end

    def seek(self, position: float) -> None:
        """Seek to a position, clamped to the recording."""
        recording = self.recording
        self._at = min(max(recording.start + round(position * 1e6), recording.start), recording.end)
        found, self._block, self._next = recording.state(self._at)
        keyframe = found[0]
        assert isinstance(keyframe, Keyframe)
        self._pending = [msgspec.structs.replace(keyframe, hello=_silent(keyframe.hello)), *found[1:]]

    def step_by(self, direction: int = 1) -> None:
        """Go to the next complete tick, or to the previous one with -1, and pause."""
        self._playing = False
        at = self._neighbour(direction)
        if at is None:
            return
        if direction > 0:
            self._advance(at)
        else:
            self.seek((at - self.recording.start) * 1e-6)

    def next_marker(self) -> Marker | None:
        """Seek to the next marker and return it; None if there is none."""
        found = bisect_right(self.markers, self._at, key=lambda marker: marker.at)
        return self._jump(self.markers[found]) if found < len(self.markers) else None

    def previous_marker(self) -> Marker | None:
        """Seek to the previous marker and return it; None if there is none."""
        earlier = [marker for marker in self.markers if marker.at < self._at]
        return self._jump(earlier[-1]) if earlier else None

    def _jump(self, marker: Marker) -> Marker:
        self.seek((marker.at - self.recording.start) * 1e-6)
        return marker

    def _neighbour(self, direction: int) -> int | None:
        recording = self.recording
        number = recording.block_at(self._at)
        while 0 <= number < recording.blocks:
            try:
                stops = [at for at, _, whole in recording.decoded(number).stops if whole]
            except Damaged:
                stops = []
            if direction > 0:
                later = [at for at in stops if at > self._at]
                if later:
                    return later[0]
            else:
                earlier = [at for at in stops if at < self._at]
                if earlier:
                    return earlier[-1]
            number += 1 if direction > 0 else -1
        return None

    def _advance(self, at: int) -> None:
        """Play up to a time, frame by frame."""
        recording = self.recording
        at = min(at, recording.end)
        if at <= self._at:
            return
        if (at - self._at) * 1e-6 > FARTHEST:
            self.seek((at - recording.start) * 1e-6)
            return
        self._at = at
        target = recording.block_at(at)
        try:
            while self._block < target and recording.follows(self._block + 1):
                self._pending += recording.decoded(self._block).frames[self._next :]
                self._block, self._next = self._block + 1, 0
            if self._block != target:
                raise Damaged("what follows does not go on from here")
            decoded = recording.decoded(target)
        except Damaged:
            self.seek((at - recording.start) * 1e-6)
            return
        count = decoded.count_until(at)
        if count > self._next:
            self._pending += decoded.frames[self._next : count]
            self._next = count

    def _say(self) -> None:
        problems = tuple(self.recording.problems)
        if problems != self._reported:
            self._reported = problems
            self.status = Status("replay", "; ".join(problems), self._wall())


def _silent(hello: Hello) -> Hello:
    """Return the hello without the abilities that need a live probe."""
    return msgspec.structs.replace(hello, capabilities=[name for name in hello.capabilities if name == "history"])
