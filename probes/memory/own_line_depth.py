"""How many frames of a block lead to the first line of the user's own: as few as possible, since each is paid for.

With one frame tracemalloc names `random.py:279` or `json/encoder.py:202`, which says nothing of who asked for it.
"""

from __future__ import annotations

from time import sleep

from ..hooks import reading
from .traces import PROBE, USER, kind_of

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
    """Those of all other threads now."""
    stacks = reading.thread_stacks().values()
    return [_distance([code.co_filename for code, _ in lines], lines[0][0].co_name) for lines in stacks if lines]


def chosen(distances: list[int]) -> int:
    """How many frames are enough for most of these."""
    if not distances:
        return UNKNOWN
    return min(sorted(distances)[int((len(distances) - 1) * _COVERED)], MOST)


def _distance(files: list[str], innermost: str) -> int:
    """How many frames lead from the innermost to one of the user's; 0 for a thread that rests, or is ours.

    `files`: of the frames, innermost first; `innermost`: the name of that function.
    """
    if innermost in _WAITING or kind_of(files[0]) == PROBE:
        return 0
    return next((distance for distance, file in enumerate(files[:59], 1) if kind_of(file) == USER), 0)


_WAITING = ("select", "wait", "poll", "_worker", "accept")
"""Functions in which a thread rests: where it does, nothing is made."""
