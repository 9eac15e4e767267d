"""Parses times in a recording as people type them: seconds since its start, or a clock time."""

from __future__ import annotations

import time

from monitor.errors import UsageError
from monitor.parsing import DURATIONS, quantity, time_of_day


def parse_time(text: str, start: float, duration: float) -> float:
    """Return seconds since the start of the recording. Raises UsageError if the text is not a time within it."""
    text = text.strip()
    seconds = quantity(text.removeprefix("+"), DURATIONS)
    if seconds is None:
        at = time_of_day(text, start)
        if at is None:
            raise UsageError(
                f"{text!r} is not a time", "seconds since the start, such as 90 or 2m, or a clock time: 14:03:22"
            )
        seconds = at - start
        if seconds < 0 and seconds + 1.0 > 0:  # clock times have whole seconds, the start does not
            seconds = 0.0
    if not 0 <= seconds <= duration + 1.0:
        end = clock(round((start + duration) * 1e6))
        raise UsageError(
            f"{text} is not in the recording", f"it goes from {clock(round(start * 1e6))} to {end}, {duration:.1f} s"
        )
    return min(seconds, duration)


def clock(at: int) -> str:
    """Format a Unix time in microseconds as local wall-clock time: `14:03:22`."""
    return time.strftime("%H:%M:%S", _local(at))


def _local(at: int) -> time.struct_time:
    try:
        return time.localtime(at * 1e-6)
    except (OverflowError, ValueError, OSError):
        return time.localtime(0)
