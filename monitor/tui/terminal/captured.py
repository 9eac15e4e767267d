"""Captured output of a program: the last 5,000 lines with their colours, without other escape sequences."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from rich.console import Console
from rich.style import Style
from rich.text import Text

from monitor.tui.base.paint import Line, Part, safe, width

MOST_LINES = 5_000
MOST_OF_A_LINE = 4_000

_console = Console(no_color=False, force_terminal=False, width=200)


@dataclass(slots=True)
class _Printed:
    parts: tuple[Part, ...]
    folded_for: int = 0
    folded: list[Line] = field(default_factory=list)


class Captured:
    """A bounded list of lines. `total` also counts dropped ones."""

    def __init__(self) -> None:
        self.total = 0
        self._lines: deque[_Printed] = deque(maxlen=MOST_LINES)

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, lines: list[str]) -> None:
        """Append lines; the oldest go when the limit is reached."""
        self.total += len(lines)
        for text in lines[-MOST_LINES:]:
            self._lines.append(_Printed(_parts(text)))

    def lines(self, cells: int) -> list[Line]:
        """Returns all lines, wrapped to a width."""
        result: list[Line] = []
        for printed in self._lines:
            if printed.folded_for != cells:
                printed.folded, printed.folded_for = _fold(printed.parts, cells), cells
            result.extend(printed.folded)
        return result


def _parts(text: str) -> tuple[Part, ...]:
    text = text.rstrip("\r\n").rpartition("\r")[2][:MOST_OF_A_LINE]
    if "\x1b" not in text:
        return ((safe(text.expandtabs(8)), "text"),)
    parts: list[Part] = []
    decoded = Text.from_ansi(text)
    decoded.expand_tabs(8)
    for segment in decoded.render(_console):
        style = segment.style
        if segment.text and segment.text != "\n":
            plain = Style(
                color=style.color if style else None,
                bgcolor=style.bgcolor if style else None,
                bold=style.bold if style else None,
                dim=style.dim if style else None,
                italic=style.italic if style else None,
                underline=style.underline if style else None,
                reverse=style.reverse if style else None,
            )
            parts.append((safe(segment.text), plain if plain else "text"))
    return tuple(parts)


def _fold(parts: tuple[Part, ...], cells: int) -> list[Line]:
    """Wraps a line at the edge, not between words, since output is not prose."""
    cells = max(cells, 8)
    if sum(width(text) for text, _ in parts) <= cells:
        return [Line(parts)]
    lines: list[Line] = []
    row: list[Part] = []
    used = 0
    for text, style in parts:
        piece = ""
        for char in text:
            wide = width(char)
            if used + wide > cells:
                lines.append(Line((*row, (piece, style))))
                row, piece, used = [], "", 0
            piece += char
            used += wide
        if piece:
            row.append((piece, style))
    if row:
        lines.append(Line(tuple(row)))
    return lines
