"""Times of a recording as a person types them: since its start, or of the clock."""

from __future__ import annotations

import re
import time

from monitor.errors import UsageError

_RELATIVE = re.compile(r"^\+?(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h)?$")
_UNITS = {None: 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_time(text: str, start: float, duration: float) -> float:
    """Seconds since the start of a recording; raises UsageError for what is no time, or none of the recording."""
    text = text.strip()
    relative = _RELATIVE.match(text)
    if relative is not None:
        seconds = float(relative["number"]) * _UNITS[relative["unit"]]
    else:
        seconds = _from_clock(text, start) - start
        if seconds < 0 and seconds + 1.0 > 0:  # a clock time has whole seconds, the start has not
            seconds = 0.0
    if not 0 <= seconds <= duration + 1.0:
        end = clock(round((start + duration) * 1e6))
        raise UsageError(
            f"{text} is not in the recording", f"it goes from {clock(round(start * 1e6))} to {end}, {duration:.1f} s"
        )
    return min(seconds, duration)


def _from_clock(text: str, start: float) -> float:
    """The Unix time of `14:03`, `14:03:22.5` or `2026-11-21 14:03:22`, the first one from the start on."""
    whole, _, fraction = text.partition(".")
    for pattern in ("%H:%M:%S", "%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"):
        try:
            parsed = time.strptime(whole, pattern)
            seconds = float(f"0.{fraction}") if fraction else 0.0
        except ValueError:
            continue
        if "%Y" in pattern:
            return time.mktime(parsed) + seconds
        today = time.localtime(start)
        at = time.mktime((*today[:3], *parsed[3:6], 0, 0, -1)) + seconds
        return at if at > start - 1.0 else at + 86400.0
    raise UsageError(f"{text!r} is no time", "seconds since the start, such as 90 or 2m, or a clock time: 14:03:22")


def clock(at: int) -> str:
    """A Unix time in microseconds as the wall clock showed it here: `14:03:22`."""
    return time.strftime("%H:%M:%S", _local(at))


def _local(at: int) -> time.struct_time:
    try:
        return time.localtime(at * 1e-6)
    except (OverflowError, ValueError, OSError):
        return time.localtime(0)
