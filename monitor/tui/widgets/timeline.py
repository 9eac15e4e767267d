"""The timeline of a recording: position and markers. A click seeks."""

from __future__ import annotations

import time
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

from monitor import formatting as fmt
from monitor.tui.base.paint import Part, crop, spread, width
from monitor.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events

KINDS = {
    "end": ("■", "bad"),
    "failed": ("✗", "bad"),
    "slow": ("▲", "warn"),
    "burst": ("✚", "accent"),
    "memory": ("◆", "good"),
}
"""Glyph and style of a marker, worst first: of several in one cell, the worst is shown."""

WORDS = {
    "end": "the program's end",
    "failed": "failures",
    "slow": "slow callbacks",
    "burst": "task bursts",
    "memory": "memory snapshots",
}
LATELY = 3.0
"""Cells or seconds, whichever is more, for which the last marker's text is shown."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A marker: seconds since the start, kind and text."""

    at: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Playing:
    """The state of a replay."""

    start: float  # Unix time
    duration: float
    position: float  # both in seconds
    playing: bool
    speed: float
    marks: Sequence[Mark]
    gaps: Sequence[tuple[float, float]] = ()  # spans without a recording


def offset(seconds: float) -> str:
    """Formats as `4:03.2` or `1:04:03.2`, always with one decimal so that it does not jump."""
    minutes, rest = divmod(max(seconds, 0.0), 60)
    whole = int(rest * 10) / 10
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{whole:04.1f}" if hours else f"{minutes}:{whole:04.1f}"


def lines(state: Playing, cells: int) -> list[tuple[Part, ...]]:
    """Builds the bar with markers, and the line of text below it."""
    where = _where(state)
    room = max(cells - sum(width(text) for text, _ in where) - 2, 0)
    return [_bar(state, cells), spread(where, crop(_what(state, cells), room), cells)]


def _cell(state: Playing, at: float, cells: int) -> int:
    share = at / state.duration if state.duration > 0 else 0.0
    return min(max(round(share * (cells - 1)), 0), cells - 1)


def _bar(state: Playing, cells: int) -> tuple[Part, ...]:
    room = max(cells - 2, 1)
    here = _cell(state, state.position, room)
    signs: dict[int, str] = {}
    order = list(KINDS)
    for mark in state.marks:
        place = _cell(state, mark.at, room)
        known = signs.get(place)
        if mark.kind in KINDS and (known is None or order.index(mark.kind) < order.index(known)):
            signs[place] = mark.kind
    missing = {
        place for begin, end in state.gaps for place in range(_cell(state, begin, room) + 1, _cell(state, end, room))
    }
    parts: list[Part] = [(" ", "text")]
    for place in range(room):
        if place == here:
            part: Part = ("┃", "strong")
        elif place in signs:
            part = KINDS[signs[place]]
        elif place in missing:
            part = ("╌", "warn")
        else:
            part = ("━", "bar") if place < here else ("─", "faint")
        if parts[-1][1] == part[1]:
            parts[-1] = (parts[-1][0] + part[0], part[1])
        else:
            parts.append(part)
    return tuple(parts)


def _where(state: Playing) -> tuple[Part, ...]:
    at_end = state.position >= state.duration and not state.playing
    sign, word, style = ("▶", "playing", "good") if state.playing else ("■", "the end", "warn")
    if not state.playing and not at_end:
        sign, word, style = "‖", "paused", "warn"
    clock = time.strftime("%H:%M:%S", time.localtime(state.start + state.position))
    return (
        (f" {sign} {word:<7} ", style),
        (f"{state.speed:g}×".ljust(6), "text"),
        (clock, "strong"),
        (f"  {offset(state.position)} of {offset(state.duration)}", "dim"),
    )


def _what(state: Playing, cells: int) -> tuple[Part, ...]:
    """A gap, or the marker that was just passed, or the legend."""
    gap = next((gap for gap in state.gaps if gap[0] < state.position < gap[1]), None)
    if gap is not None:
        return ((f"╌ {fmt.duration(gap[1] - gap[0])} not recorded ", "warn"),)
    number = bisect_right(state.marks, state.position + 1e-4, key=lambda mark: mark.at) - 1
    if number >= 0:
        mark = state.marks[number]
        lately = max(LATELY, LATELY * state.duration / max(cells, 1))
        if state.position - mark.at <= lately:
            sign, style = KINDS.get(mark.kind, ("•", "text"))
            return ((f"{sign} ", style), (f"{mark.text} ", "text"))
    kinds = {mark.kind for mark in state.marks}
    parts = tuple(
        part
        for kind, (sign, style) in KINDS.items()
        if kind in kinds
        for part in ((f" {sign} ", style), (WORDS[kind] if cells >= 110 else kind, "dim"))
    )
    return (*parts, (" ", "text"))


class Timeline(Lines):
    """The two lines of the timeline, above the footer."""

    DEFAULT_CSS = "Timeline { height: 2; width: 100%; background: $background; }"

    class Sought(Message):
        """Posted on a click: the share of the recording to seek to."""

        def __init__(self, share: float) -> None:
            super().__init__()
            self.share = share

    async def on_click(self, event: events.Click) -> None:
        """Posts the clicked position."""
        if event.y == 0:
            self.post_message(self.Sought(min(max((event.x - 1) / max(self.size.width - 3, 1), 0.0), 1.0)))
