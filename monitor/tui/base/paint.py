"""Lines of styled text, cut to a width in cells. Text from the program passes through as text, never as markup."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from monitor.formatting import clean

if TYPE_CHECKING:
    from collections.abc import Hashable

    from monitor.tui.base.theme import Palette

Part = tuple[str, str | Style]
"""A piece of text and the name of its style in the palette, or a style for text that the program coloured."""

MOST_CHARS = 2_000
"""Longest line of a screen; longer names are cut before they are measured."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a page. Enter opens its `target`; the cursor skips lines without one."""

    parts: tuple[Part, ...] = ()
    target: Hashable = None

    @property
    def width(self) -> int:
        """The width of the line in cells."""
        return sum(width(text) for text, _ in self.parts)


def line(*parts: Part | str, target: Hashable = None) -> Line:
    """Makes a line of parts; a bare string gets the style `text`."""
    return Line(tuple((part, "text") if isinstance(part, str) else part for part in parts), target)


BLANK = Line()


@lru_cache(maxsize=8192)
def safe(text: str) -> str:
    """Makes text from the program one printable line of bounded length."""
    if len(text) > MOST_CHARS:
        text = text[:MOST_CHARS] + "…"
    return clean(text)


def width(text: str) -> int:
    """The width of a text in cells."""
    return len(text) if text.isascii() else cell_len(text)


_IN_FOLDERS = re.compile(r"\S*/(?=[^/\s]+\.py:\d)")


@lru_cache(maxsize=16384)
def fit(text: str, cells: int, right: bool = False) -> str:
    """Cleans a text and cuts or pads it to exactly that many cells; a cut text ends with an ellipsis.

    A line of code loses its folders first: the number of the line says more.
    """
    if cells <= 0:
        return ""
    text = safe(text)
    length = width(text)
    if length > cells and (place := _IN_FOLDERS.match(text)):
        text = text[place.end() :]
        length = width(text)
    if length > cells:
        return set_cell_size(text, cells - 1) + "…"
    pad = " " * (cells - length)
    return pad + text if right else text + pad


def columns(left: list[Line], right: list[Line], left_width: int, gap: int = 3) -> list[Line]:
    """Puts two lists of lines side by side. Targets of the left ones are kept."""
    rows = []
    for number in range(max(len(left), len(right))):
        mine = left[number] if number < len(left) else BLANK
        other = right[number] if number < len(right) else BLANK
        parts = crop(mine.parts, left_width)
        used = sum(width(text) for text, _ in parts)
        rows.append(Line((*parts, (" " * (left_width - used + gap), "text"), *other.parts), mine.target))
    return rows


def crop(parts: tuple[Part, ...], cells: int) -> tuple[Part, ...]:
    """Cuts parts to a width; the last one that fits in part ends with an ellipsis."""
    kept: list[Part] = []
    left = cells
    for raw, style in parts:
        text = safe(raw)
        length = width(text)
        if length <= left:
            kept.append((text, style))
            left -= length
            continue
        if left > 0:
            kept.append((fit(text, left), style))
        break
    return tuple(kept)


def spread(left: tuple[Part, ...], right: tuple[Part, ...], cells: int) -> tuple[Part, ...]:
    """Makes one line with `right` at the right edge; `left` is cut if both do not fit."""
    right = crop(right, cells)
    used = sum(width(text) for text, _ in right)
    left = crop(left, max(cells - used - (1 if right else 0), 0))
    pad = cells - used - sum(width(text) for text, _ in left)
    return (*left, (" " * pad, "text"), *right)


def style_of(palette: Palette, name: str | Style) -> Style:
    """Looks up the style of a part in the palette."""
    if isinstance(name, Style):
        return palette.text + name
    style: Style = getattr(palette, name)
    return style


def to_strip(parts: tuple[Part, ...], cells: int, palette: Palette, over: Style | None = None) -> Strip:
    """Makes a strip of exactly that width. `over` is laid over every part, for the cursor line."""
    segments = []
    used = 0
    for text, name in crop(parts, cells):
        style = style_of(palette, name)
        segments.append(Segment(text, style if over is None else style + over))
        used += width(text)
    if used < cells:
        segments.append(Segment(" " * (cells - used), over if over is not None else palette.text))
    return Strip(segments, cells)


def wrapped(parts: tuple[Part, ...], cells: int, most: int) -> list[tuple[Part, ...]]:
    """Wraps parts onto at most `most` lines. Only the last part is broken, between words where possible."""
    if not parts:
        return []
    *head, (text, style) = parts
    used = sum(width(one) for one, _ in head)
    lines: list[tuple[Part, ...]] = []
    indent = " " * max(used, 1)
    while len(lines) < most - 1 and width(text) > cells - used - 1:
        room = cells - used - 1
        cut = text.rfind(" ", 1, room + 1)
        cut = cut if cut > room // 2 else room
        lines.append((*head, (text[:cut], style)))
        head, text = [(indent, "text")], text[cut:].lstrip()
        used = len(indent)
    return [*lines, (*head, (text, style))]
