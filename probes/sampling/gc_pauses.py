"""The newest runs of the garbage collector, known while a viewer traces steps (see trace/ring.py)."""

from __future__ import annotations

from collections import deque

LEAST = 0.001
"""Seconds: shorter runs explain no slow callback."""

recent: deque[tuple[float, float]] = deque(maxlen=200)
"""Start and end of each, in seconds of the monotonic clock."""


def note(started: float, ended: float) -> None:
    """Called at the end of a run, in whichever thread collected."""
    if ended - started >= LEAST:
        recent.append((started, ended))


def within(started: float, ended: float) -> float:
    """Seconds of collection during a time."""
    found = list(recent)
    return sum(max(min(end, ended) - max(start, started), 0.0) for start, end in found)
