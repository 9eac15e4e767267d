"""How many frames of a block lead to the first line of the user's own: as few as possible, since each is paid for.

With one frame tracemalloc names `random.py:279` or `json/encoder.py:202`, which says nothing of who asked for it.
"""

from __future__ import annotations

import sys
from time import sleep
from typing import TYPE_CHECKING

from .traces import PROBE, USER, kind_of

if TYPE_CHECKING:
    from types import FrameType

SAMPLES = 40
BETWEEN = 0.005
"""Seconds between two looks at what the program's threads do: one that waits for the GIL gets it after as long."""

UNKNOWN = 3
"""Frames where nothing ran meanwhile: a helper of a module of the standard library, and who called it."""
MOST = 10
"""More than these cost the program more than they tell."""
_COVERED = 0.9


def frames_to_own_line() -> int:
    """The frames that lead to a line of the user's in nine of ten places where the program was seen to work."""
    found: list[int] = []
    for _ in range(SAMPLES):
        sleep(BETWEEN)
        found += filter(None, _distances())
    return chosen(found)


def _distances() -> list[int]:
    """Those of all threads now. No frame is held when it returns: the program must be the one that lets go of it."""
    return [_distance(frame) for frame in sys._current_frames().values()]


def chosen(distances: list[int]) -> int:
    """How many frames are enough for most of these."""
    if not distances:
        return UNKNOWN
    return min(sorted(distances)[int((len(distances) - 1) * _COVERED)], MOST)


def _distance(frame: FrameType | None) -> int:
    """How many frames lead from the innermost to one of the user's; 0 for a thread that rests, or is ours."""
    if frame is None or frame.f_code.co_name in _WAITING or kind_of(frame.f_code.co_filename) == PROBE:
        return 0
    for distance in range(1, 60):
        if frame is None:
            return 0
        if kind_of(frame.f_code.co_filename) == USER:
            return distance
        frame = frame.f_back
    return 0


_WAITING = ("select", "wait", "poll", "_worker", "accept")
"""Functions in which a thread rests: where it does, nothing is made."""
