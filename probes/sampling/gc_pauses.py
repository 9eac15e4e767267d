"""How long collections of garbage took, in whichever thread: timed by the hooks in C (hooks/native/collector.c).

`gc.callbacks` stays as the program has it.
"""

from __future__ import annotations

import gc
from typing import Any

from ..hooks import install

_timed: Any = None


def start() -> None:
    """Begins to time collections, where that is possible."""
    global _timed
    if _timed is None and install.native_state is not None and install.native_state.time_collections(gc):
        _timed = install.native_state


def stop() -> None:
    """Gives the interpreter its list of callbacks back."""
    global _timed
    timed, _timed = _timed, None
    if timed is not None:
        timed.leave_collections()


def take() -> tuple[float, float] | None:
    """Seconds of all collections so far, and of the longest since the last call; None if they are not timed."""
    return None if _timed is None else _timed.take_collections()


def by_generation() -> list[tuple[float, list[int]]]:
    """For each generation, the youngest first, seconds of all collections so far, and a histogram: buckets and their
    counts in turn, as in hooks/groups.py. Empty if they are not timed."""
    return [] if _timed is None else _timed.collection_times()


def within(started: float, ended: float) -> float:
    """Seconds of collection during a time, of collections of a millisecond or more: the newest 64 are known."""
    pauses: list[tuple[float, float]] = [] if _timed is None else _timed.collection_pauses()
    return sum(max(min(end, ended) - max(start, started), 0.0) for start, end in pauses)
