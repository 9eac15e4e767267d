"""Copies the newest events of the step ring into the file of a black box, where each has a place of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..trace.ring import StepRing
    from .ring import Ring

PIECE = 8000
"""Events copied at once: 160 KB, while the program waits for the GIL."""


class StepCopy:
    """How far the step ring has been copied. Used by the probe's thread."""

    def __init__(self, ring: StepRing) -> None:
        self._ring = ring
        self._recording: Any = None
        self._oldest = self._after = 0

    def copy(self, file: Ring) -> None:
        """Copies what is new. The program may end at any moment: events count as there once all are. Raises OSError,
        LostError."""
        recording = self._ring.recording
        if recording is None or not file.events:
            return
        if recording is not self._recording:
            self._recording, self._oldest, self._after = recording, 0, 0
        written = recording.trace_stats()[0]
        if written == self._after:
            return
        offset = self._ring.offset()
        after, begin = self._after, max(self._after, written - file.events)
        if begin > after:
            self._oldest = begin  # what lies between is lost
        elif written - file.events > self._oldest:
            self._oldest = written - file.events
        file.note_steps(self._oldest, after, offset)
        while begin < written:
            data, first, following, lost = recording.trace_read(begin, min(PIECE, written - begin))
            if lost:
                self._oldest = first
            file.put_steps(first, data)
            begin = following
        self._after = begin
        file.note_steps(self._oldest, begin, offset)
