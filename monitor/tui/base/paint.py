"""Lines of styled text, cut to cells. What came over the wire goes through here as text, never as markup."""

from __future__ import annotations

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
"""A piece of text and the name of its style in the palette; a style itself for what a program coloured."""

MOST_CHARS = 2_000
"""No line of a screen is longer; a name of 10,000 characters is cut before anything measures it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a page. `target` is what Enter opens on it; lines without one are passed by the cursor."""

    parts: tuple[Part, ...] = ()
    target: Hashable = None

    @property
    def width(self) -> int:
        """In cells."""
        return sum(width(text) for text, _ in self.parts)


def line(*parts: Part | str, target: Hashable = None) -> Line:
    """A line of parts; a bare string has the style `text`."""
    return Line(tuple((part, "text") if isinstance(part, str) else part for part in parts), target)


BLANK = Line()


@lru_cache(maxsize=8192)
def safe(text: str) -> str:
    """Text of others as one printable line of bounded length."""
    if len(text) > MOST_CHARS:
        text = text[:MOST_CHARS] + "…"
    return clean(text)


def width(text: str) -> int:
    """Cells of a text."""
    return len(text) if text.isascii() else cell_len(text)


@lru_cache(maxsize=16384)
def fit(text: str, cells: int, right: bool = False) -> str:
    """Text cleaned and cut or padded to exactly that many cells, with an ellipsis where it was cut."""
    if cells <= 0:
        return ""
    text = safe(text)
    length = width(text)
    if length > cells:
        return set_cell_size(text, cells - 1) + "…"
    pad = " " * (cells - length)
    return pad + text if right else text + pad


def columns(left: list[Line], right: list[Line], left_width: int, gap: int = 3) -> list[Line]:
    """Two lists of lines side by side. Targets of the left ones are kept."""
    rows = []
    for number in range(max(len(left), len(right))):
        mine = left[number] if number < len(left) else BLANK
        other = right[number] if number < len(right) else BLANK
        parts = crop(mine.parts, left_width)
        used = sum(width(text) for text, _ in parts)
        rows.append(Line((*parts, (" " * (left_width - used + gap), "text"), *other.parts), mine.target))
    return rows


def crop(parts: tuple[Part, ...], cells: int) -> tuple[Part, ...]:
    """The parts that fit, the last of them cut with an ellipsis."""
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
    """One line with `right` at its right edge; `left` is cut where both do not fit."""
    right = crop(right, cells)
    used = sum(width(text) for text, _ in right)
    left = crop(left, max(cells - used - (1 if right else 0), 0))
    pad = cells - used - sum(width(text) for text, _ in left)
    return (*left, (" " * pad, "text"), *right)


def style_of(palette: Palette, name: str | Style) -> Style:
    """The style of a part."""
    if isinstance(name, Style):
        return palette.text + name
    style: Style = getattr(palette, name)
    return style


def to_strip(parts: tuple[Part, ...], cells: int, palette: Palette, over: Style | None = None) -> Strip:
    """A strip of exactly that width. `over` is laid over every part: the line of the cursor."""
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
    """One line of parts on so many lines at most; only the last part is broken, between words where it can be."""
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
