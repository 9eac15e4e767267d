"""Times of a recording as a person types them: since its start, or of the clock."""

from __future__ import annotations

import time

from monitor.errors import UsageError
from monitor.parsing import DURATIONS, quantity, time_of_day


def parse_time(text: str, start: float, duration: float) -> float:
    """Seconds since the start of a recording; raises UsageError if the text is not a time within it."""
    text = text.strip()
    seconds = quantity(text.removeprefix("+"), DURATIONS)
    if seconds is None:
        at = time_of_day(text, start)
        if at is None:
            raise UsageError(
                f"{text!r} is not a time", "seconds since the start, such as 90 or 2m, or a clock time: 14:03:22"
            )
        seconds = at - start
        if seconds < 0 and seconds + 1.0 > 0:  # a clock time has whole seconds, the start has not
            seconds = 0.0
    if not 0 <= seconds <= duration + 1.0:
        end = clock(round((start + duration) * 1e6))
        raise UsageError(
            f"{text} is not in the recording", f"it goes from {clock(round(start * 1e6))} to {end}, {duration:.1f} s"
        )
    return min(seconds, duration)


def clock(at: int) -> str:
    """A Unix time in microseconds as the wall clock showed it here: `14:03:22`."""
    return time.strftime("%H:%M:%S", _local(at))


def _local(at: int) -> time.struct_time:
    try:
        return time.localtime(at * 1e-6)
    except (OverflowError, ValueError, OSError):
        return time.localtime(0)
