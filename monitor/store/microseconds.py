"""Microseconds, as the wire counts times and durations, and the seconds of the store: there and back, exactly."""

from __future__ import annotations

SECOND = 1e-6


def seconds_or_none(value: int | None) -> float | None:
    """Seconds of what may not be known."""
    return None if value is None else value * SECOND


def us(seconds: float) -> int:
    """Microseconds."""
    return round(seconds * 1e6)


def us_or_none(seconds: float | None) -> int | None:
    """Microseconds of what may not be known."""
    return None if seconds is None else round(seconds * 1e6)
