"""The step ring of this process, and how far each viewer has read it.

The hooks in C write it (native/trace.c) while steps are counted; the hooks in Python do not. A viewer gets the events
unchanged, with numbers for lines and functions; their names are looked up here, once for each number.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from ..base.protocol import STEP_EVENT
from ..hooks import install
from .objects import ObjectNames

if TYPE_CHECKING:
    from ..base.sites import Tables
    from ..sampling.rows import Clock

PIECE = 8000
"""Events in one frame: 160 KB, 215 KB as text."""
AT_ONCE = (4 << 20) // STEP_EVENT
"""Events that are copied for a viewer at once, in some 2 ms: a fast program overwrites the ring before it can be sent
in pieces."""
MOST_NAMES = 2000
"""Names of objects that a black box gets at once: the newest."""


class StepRing:
    """Switches recording on and off. Used by the probe's thread."""

    def __init__(self, megabytes: float, tables: Tables, clock: Clock) -> None:
        self._bytes = int(megabytes * (1 << 20))
        self._tables = tables
        self._clock = clock
        self._places: list[int] = [0]
        self.objects = ObjectNames()
        self.recording: Any = None
        """The object with `trace_read` and related functions, while steps are recorded."""

    @property
    def available(self) -> bool:
        """Whether steps can be recorded in this process."""
        return bool(self._bytes) and install.native_state is not None

    def start(self) -> None:
        """Begins to record if possible. Requires that steps are counted."""
        if self.recording is None and self.available:
            self._places = [0]
            self.objects = ObjectNames()
            if install.native_state.trace_start(self._bytes, self.objects.name):
                self.recording = install.native_state

    def describe_more(self, on: bool) -> None:
        """Whether a viewer traces: then the hooks describe more waits."""
        if self.recording is not None:
            self.recording.trace_detail(on)

    def stop(self) -> None:
        """Stops recording and drops all events."""
        recording, self.recording = self.recording, None
        if recording is not None:
            recording.trace_stop()

    def places(self) -> list[int]:
        """Site numbers of the numbered places, from 0 on."""
        if self.recording is not None:
            for code, lasti in self.recording.trace_places(len(self._places)):
                self._places.append(self._tables.site_at(code, lasti))
        return self._places

    def names(self, known: int) -> tuple[int, list[list[int]]]:
        """Number of named objects so far, and number and string of those after the first `known`."""
        given, names = self.objects.since(known)
        return given, [[number, self._tables.string(name)] for number, name in names]

    @property
    def bytes(self) -> int:
        """The size of the ring."""
        return self._bytes if self.available else 0

    def offset(self) -> int:
        """Unix time minus the clock of the ring (µs)."""
        return self._clock.unix(0.0)


class Reader:
    """The reading position of one viewer."""

    def __init__(self, ring: StepRing, past: bool) -> None:
        """`past`: start at the oldest event in the ring, else now."""
        self._ring = ring
        self._recording = ring.recording
        self._told = self._named = 0
        self._position = 0
        self._end = 0
        """Up to where events are from before this viewer."""
        self._unsent = memoryview(b"")
        if self._recording is not None and past:
            self._copy()
            self._end = max(self._position, self._recording.trace_stats()[0])
        elif self._recording is not None:
            self._position = self._recording.trace_mark()

    def _copy(self) -> int:
        """Copies the next events; returns how many were overwritten before."""
        events, _, self._position, lost = self._recording.trace_read(self._position, AT_ONCE)
        self._unsent = memoryview(events)
        return int(lost)

    def pending(self) -> bool:
        """Whether more than one frame of events is pending."""
        if self._recording is None or self._ring.recording is not self._recording:
            return False
        return bool(self._unsent) or self._recording.trace_stats()[0] - self._position >= PIECE

    def frame(self) -> dict[str, Any] | None:
        """The next piece; None if nothing has happened."""
        ring, recording = self._ring, self._ring.recording
        if recording is None:
            return None
        if recording is not self._recording:  # recording was off in between
            self._recording, self._position, self._end, self._told, self._named = recording, 0, 0, 0, 0
            self._unsent = memoryview(b"")
        lost = 0 if self._unsent else self._copy()
        data, self._unsent = self._unsent[: PIECE * STEP_EVENT], self._unsent[PIECE * STEP_EVENT :]
        after = self._position - len(self._unsent) // STEP_EVENT
        places = ring.places()
        new = places[self._told :]
        self._named, names = ring.names(self._named)
        if not data and not new and not lost:
            return None
        frame = {
            "type": "steps",
            "offset": ring.offset(),
            "from": after - len(data) // STEP_EVENT,
            "to": after,
            "lost": lost,
            "left": (self._end if after <= self._end else recording.trace_stats()[0]) - after,
            "places": {"from": self._told, "items": new},
            "objects": names,
            "events": b64encode(data).decode("ascii"),
        }
        self._told = len(places)
        return frame


class Names:
    """What a black box gets of the ring with its ticks: what the numbers in the events mean. It has the events."""

    def __init__(self, ring: StepRing) -> None:
        self._ring = ring
        self._recording = ring.recording
        self._told = self._named = 0

    def pending(self) -> bool:
        """Whether there is more than fits into one frame: never."""
        return False

    def frame(self) -> dict[str, Any] | None:
        """A `steps` frame without events; None if nothing is new."""
        ring = self._ring
        if ring.recording is None:
            return None
        if ring.recording is not self._recording:
            self._recording, self._told, self._named = ring.recording, 0, 0
        places = ring.places()
        new = places[self._told :]
        # As text: each connection has a name of its own, and the numbers of strings are for those that stay.
        self._named, names = ring.objects.since(self._named)
        if not new and not names:
            return None
        frame = {
            "type": "steps",
            "offset": ring.offset(),
            "from": 0,
            "to": 0,
            "places": {"from": self._told, "items": new},
            "names": [[number, text[:300]] for number, text in names[-MOST_NAMES:]],
            "events": "",
        }
        self._told = len(places)
        return frame
