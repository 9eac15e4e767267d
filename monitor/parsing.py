"""Parses durations, sizes, times of day and `HOST:PORT` typed by the user.

Commands, filters, forms and conditions all use these functions, so that `90s` means the same everywhere.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from monitor.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

DURATIONS: dict[str, float] = {"": 1.0, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
"""Seconds of each unit."""
SIZES: dict[str, float] = {"": 1.0, "B": 1.0}
"""Bytes of each unit, in upper case: `M`, `MB` and `MIB` are 2**20."""
for _power, _letter in enumerate("KMG", 1):
    SIZES.update(dict.fromkeys((_letter, f"{_letter}B", f"{_letter}IB"), 1024.0**_power))

_QUANTITY = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>%|[A-Za-zµ]*)")
_HOST_PORT = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%]+)\]|(?P<host>[A-Za-z0-9._-]*)):(?P<port>[0-9]{1,5})")
_CLOCKS = ("%H:%M:%S", "%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M")


def quantity(text: str, units: Mapping[str, float]) -> float | None:
    """A number with one of the units, in the base unit; None for anything else."""
    match = _QUANTITY.fullmatch(text.strip())
    scale = units.get(match["unit"]) if match is not None else None
    return None if match is None or scale is None else float(match["number"]) * scale


def duration(text: str, example: str = "10m", least: float = 0.0, most: float = float("inf")) -> float:
    """`600`, `10m`, `500ms` or `1h` in seconds. Raises UsageError for anything else, 0, and values out of bounds."""
    seconds = quantity(text, DURATIONS)
    if not seconds or not least <= seconds <= most:
        raise UsageError(f"{text!r} is not a duration", f"for example {example}")
    return seconds


def size(text: str) -> float | None:
    """`65536`, `200M`, `200MB` or `1.5GiB` in bytes, in either case; None for anything else."""
    return quantity(text.upper(), SIZES)


def host_port(text: str) -> tuple[str, int] | None:
    """The host (IPv6 without brackets, may be empty) and port of `HOST:PORT`; None for anything else.

    The port may be 0 or too large: callers report that themselves.
    """
    match = _HOST_PORT.fullmatch(text)
    return None if match is None else (match["six"] or match["host"], int(match["port"]))


def time_of_day(text: str, start: float) -> float | None:
    """`14:03`, `14:03:22.5` or `2026-11-21 14:03:22` as Unix time; None for anything else.

    A time without a date is the first one from `start` (Unix time) on.
    """
    whole, _, fraction = text.partition(".")
    for pattern in _CLOCKS:
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
    return None
