"""Merges the frames and events of a block in the order in which they arrived."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from monitor.protocol.frames import Event, Frame, HistoryRows, Static, Tick


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded block, and the places to stop in it: (time, frames before, complete tick)."""

    frames: list[Frame]
    stops: list[tuple[int, int, bool]]

    def count_until(self, at: int) -> int:
        """Return how many frames had arrived at a time."""
        found = bisect_right(self.stops, at, key=lambda stop: stop[0])
        return self.stops[found - 1][1] if found else 0


Between = Event | HistoryRows
"""Recorded beside the frames of a block, with the number of frames before it."""


def merge(recorded: list[Frame], between: list[tuple[int, Between]], start: int) -> Decoded:
    """Return the frames in the order of arrival, and the places between ticks."""
    merged: list[Frame] = []
    stops = [(start, 0, False)]
    waiting = iter(sorted((entry for entry in between if entry[0] >= 0), key=_order))
    event = next(waiting, None)
    for number, frame in enumerate([*recorded, None]):
        while event is not None and (event[0] <= number or frame is None):
            merged.append(event[1])
            stops[-1] = (stops[-1][0], len(merged), stops[-1][2])
            event = next(waiting, None)
        if frame is None:
            break
        merged.append(frame)
        if isinstance(frame, Tick):
            stops.append((max(frame.at, stops[-1][0]), len(merged), bool(frame.loops)))
        elif not isinstance(frame, Static):
            stops[-1] = (stops[-1][0], len(merged), stops[-1][2])
    return Decoded(merged, stops)


def _order(entry: tuple[int, Between]) -> tuple[int, int]:
    place, frame = entry
    return place, frame.seq if isinstance(frame, Event) else 0
