"""A recording as a source of frames: what `looptop replay` gives the dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.recording.player import RecordingSource
from monitor.recording.reader import Recording

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RecordingSource", "open_end", "open_recording"]


def open_recording(path: str | Path, *, speed: float = 1.0, at: str | None = None) -> RecordingSource:
    """The player of a file. Raises LooptopError for what is no recording, UsageError for a time that is not in it."""
    recording = Recording(path)
    try:
        position = 0.0 if at is None else (recording.moment(at) - recording.start) * 1e-6
    except BaseException:
        recording.close()
        raise
    return RecordingSource(recording, speed=speed, position=position)


def open_end(path: str | Path) -> RecordingSource:
    """The player of a file, standing at its end. Raises LooptopError."""
    recording = Recording(path)
    return RecordingSource(recording, position=recording.duration, playing=False)
