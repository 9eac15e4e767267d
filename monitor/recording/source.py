"""Opens a recording as a source of frames, as `looptop replay` gives it to the dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.recording.player import RecordingSource
from monitor.recording.reader import Recording

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RecordingSource", "open_end", "open_recording"]


def open_recording(path: str | Path, *, speed: float = 1.0, at: str | None = None) -> RecordingSource:
    """Open a player for a file. Raises LooptopError if it is not a recording, UsageError if `at` is not within it."""
    recording = Recording(path)
    try:
        position = 0.0 if at is None else (recording.moment(at) - recording.start) * 1e-6
    except BaseException:
        recording.close()
        raise
    return RecordingSource(recording, speed=speed, position=position)


def open_end(path: str | Path) -> RecordingSource:
    """Open a player for a file, positioned at its end. Raises LooptopError."""
    recording = Recording(path)
    return RecordingSource(recording, position=recording.duration, playing=False)
