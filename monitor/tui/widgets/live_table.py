"""A table over rows that live elsewhere. It renders visible lines only and repaints only those that changed.

Textual's DataTable takes 42 ms per repaint and seconds for many changed rows; this table takes time for visible lines
only. The cursor is a key, never a row number: when rows move, it stays on its row, and its row stays on its line of the
screen. Until the user has moved it, and after Home, the cursor stays at the top of the list instead, so that
`sorted by busy` keeps showing the busiest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from rich.segment import Segment
from textual.message import Message
from textual.strip import Strip

from monitor.store.column import Column
from monitor.tui.base import paint
from monitor.tui.base.keys import bindings
from monitor.tui.base.paint import Part, fit, safe, style_of, to_strip
from monitor.tui.widgets.column_layout import lay_out
from monitor.tui.widgets.diff_view import DiffView

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from textual import events

    from monitor.tui.base.theme import Palette

MOST_STRIPS = 2_000
MOST_MEASURED = 60
"""Rows whose texts determine the column widths before the table has a size."""
WIDEST = 300
GUTTER = 1  # marks the cursor for terminals without colour


class RowSource(Protocol):
    """The rows of a table. `cells` are (text, style name); texts may be unclean and too long."""

    columns: Sequence[Column[Any]]
    sort_key: str
    descending: bool

    def __len__(self) -> int:
        """The number of rows."""

    def key(self, index: int) -> Hashable:
        """The key of a row, which stays the same when rows move."""

    def index(self, key: Hashable) -> int | None:
        """The index of a key, or None if the row has gone."""

    def cells(self, index: int, columns: Sequence[Column[Any]]) -> list[Part]:
        """The current texts and styles of a row."""


@dataclass(frozen=True, slots=True)
class _Signature:
    """Everything that determines how a line looks."""

    cells: tuple[Part, ...]
    widths: tuple[int, ...]
    cursor: bool


class LiveTable(DiffView, can_focus=True):
    """The table widget. The owner calls `rows_moved` after sorting, and `sync` after every tick."""

    BINDINGS: ClassVar[list[Any]] = bindings("table")

    class Opened(Message):
        """Posted on Enter or a double click."""

        def __init__(self, key: Hashable) -> None:
            super().__init__()
            self.key = key

    class SortWanted(Message):
        """Posted to sort by a column; `turn` reverses the current order."""

        def __init__(self, column: Column[Any], turn: bool) -> None:
            super().__init__()
            self.column = column
            self.turn = turn

    class CursorMoved(Message):
        """Posted when the user moves the cursor."""

    def __init__(self, source: RowSource, palette: Palette, *, empty: str = "", id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(palette, id=id)
        self.source = source
        self.empty = empty  # text of an empty table, by line
        self.opens_empty = False  # whether Enter does something on an empty table
        self.cursor_key: Hashable = None  # None: the cursor belongs to the top
        self._cursor_index = 0
        self._cells: dict[int, tuple[Part, ...]] = {}
        self._strips: dict[_Signature, Strip] = {}
        self._layout: list[tuple[Column[Any], int]] = []
        self._layout_for: object = None
        self._needs: dict[str, int] = {}  # by column: the longest text seen so far; it only grows, so nothing jitters

    # Called by the owner

    def show(self, source: RowSource) -> None:
        """Shows other rows, with the cursor at the top."""
        self.source = source
        self.cursor_key, self._cursor_index = None, 0
        self._needs.clear()
        self.scroll_to(y=0, animate=False, force=True)
        self.rows_moved()

    def rows_moved(self) -> None:
        """Follows the rows after they were sorted or replaced."""
        before = self._cursor_index
        number = len(self.source)
        if self.cursor_key is None:
            self._cursor_index = 0
        else:
            found = self.source.index(self.cursor_key)
            if found is None:  # its row has gone: select the row in its place
                self._cursor_index = max(min(before, number - 1), 0)
                self.cursor_key = self.source.key(self._cursor_index) if number else None
            else:
                self._cursor_index = found
        self.virtual_size = self._whole_size()
        top = round(self.scroll_y)
        in_sight = top <= before < top + self.rows_in_sight
        if self.cursor_key is not None and in_sight and self._cursor_index != before:
            self.scroll_to(y=max(top + self._cursor_index - before, 0), animate=False, force=True)
        self._measure()
        self.sync()

    def sync(self) -> None:
        """Repaints the visible lines that changed."""
        self._cells.clear()
        super().sync()

    def go_to(self, key: Hashable) -> None:
        """Moves the cursor to a row."""
        place = self.source.index(key)
        if place is not None:
            self._move_to(place)

    def repaint(self, palette: Palette) -> None:
        """Repaints everything with another palette."""
        self._strips.clear()
        super().repaint(palette)

    # Read by the owner

    @property
    def rows_in_sight(self) -> int:
        """The number of rows that fit."""
        return max(self.size.height - 1, 0)

    @property
    def current(self) -> Hashable:
        """The key of the selected row, or None."""
        return self.source.key(self._cursor_index) if self._cursor_index < len(self.source) else None

    def keys_in_sight(self) -> list[Hashable]:
        """The keys of the visible rows."""
        top = round(self.scroll_y)
        return [self.source.key(row) for row in range(top, min(top + self.rows_in_sight, len(self.source)))]

    def layout_now(self) -> list[tuple[Column[Any], int]]:
        """The visible columns with their widths."""
        wanted = (tuple(self.source.columns), self.cells_wide, self.source.sort_key, tuple(self._needs.values()))
        if wanted != self._layout_for:
            self._layout_for = wanted
            cells = max(self.cells_wide - GUTTER, 1)
            self._layout = lay_out(self.source.columns, cells, self.source.sort_key, self._needs)
            self._strips.clear()
            self._cells.clear()
        return self._layout

    def _measure(self) -> None:
        """Notes the longest text of each column among the visible rows."""
        columns = [column for column in self.source.columns if not column.right]
        shown = {column.key for column, _ in self._layout}
        top = round(self.scroll_y)
        for row in range(top, min(top + (self.rows_in_sight or MOST_MEASURED), len(self.source))):
            for in_sight in (True, False):  # apart, since the text of a cell may stand for that of a hidden column
                some = [column for column in columns if (column.key in shown) is in_sight]
                for column, (text, _) in zip(some, self.source.cells(row, some), strict=True):
                    cells = min(paint.width(safe(text)), WIDEST)
                    if cells > self._needs.get(column.key, 0):
                        self._needs[column.key] = cells

    # Painting

    def render_line(self, y: int) -> Strip:
        """Renders the titles or one row."""
        signature = self._painted[y] = self._signature(y)
        if isinstance(signature, _Signature):
            strip = self._strips.get(signature)
            if strip is None:
                if len(self._strips) >= MOST_STRIPS:
                    self._strips.clear()
                strip = self._strips[signature] = self._row_strip(signature)
            return strip
        return self._header_strip() if y == 0 else self._empty_strip(y)

    def _line_count(self) -> int:
        return len(self.source) + 1

    def _signature(self, y: int) -> object:
        number = len(self.source)
        if y == 0:
            shown = tuple((column.title, cells) for column, cells in self.layout_now())
            return (shown, self.source.sort_key, self.source.descending)
        if number == 0:
            return ("empty", self.empty, y)
        row = round(self.scroll_y) + y - 1
        if row >= number:
            return None
        layout = self.layout_now()  # first: a new layout drops the cached cells
        cells = self._cells.get(row)
        if cells is None:
            cells = tuple(self.source.cells(row, [column for column, _ in layout]))
            self._cells[row] = cells
        return _Signature(cells, tuple(width for _, width in layout), row == self._cursor_index)

    def _row_strip(self, signature: _Signature) -> Strip:
        palette = self.palette
        over = palette.cursor if signature.cursor else None
        segments = [
            Segment("▌" if signature.cursor else " ", palette.accent if over is None else palette.accent + over)
        ]
        for number, ((column, cells), (text, name)) in enumerate(zip(self._layout, signature.cells, strict=True)):
            style = style_of(palette, name)
            gap = " " if number else ""
            segments.append(Segment(gap + fit(text, cells, column.right), style if over is None else style + over))
        return Strip(segments).adjust_cell_length(self.cells_wide, over or palette.text)

    def _header_strip(self) -> Strip:
        palette = self.palette
        segments = [Segment(" ", palette.column)]
        for number, (column, width) in enumerate(self.layout_now()):
            chosen = column.key == self.source.sort_key
            title = column.title
            if chosen:
                arrow = "▼" if self.source.descending else "▲"
                title = f"{arrow}{title}" if column.right else f"{title}{arrow}"
                if column.right and len(title) > width:
                    title = arrow + column.title[: width - 1]
            segments.append(Segment(" " if number else "", palette.column))
            segments.append(Segment(fit(title, width, column.right), palette.sorted if chosen else palette.column))
        return Strip(segments).adjust_cell_length(self.cells_wide, palette.column)

    def _empty_strip(self, y: int) -> Strip:
        lines = self.empty.splitlines()
        text = lines[y - 2] if len(self.source) == 0 and 2 <= y < len(lines) + 2 else ""
        return to_strip((("  " + text, "text" if y == 2 else "dim"),), self.cells_wide, self.palette)

    # Actions

    def _move_to(self, row: int) -> None:
        number = len(self.source)
        if number == 0:
            return
        row = min(max(row, 0), number - 1)
        self._cursor_index = row
        self.cursor_key = self.source.key(row)
        top = round(self.scroll_y)
        if row < top:
            self.scroll_to(y=row, animate=False, force=True)
        elif row >= top + self.rows_in_sight:
            self.scroll_to(y=row - self.rows_in_sight + 1, animate=False, force=True)
        self.sync()
        self.post_message(self.CursorMoved())

    def action_up(self) -> None:
        """Moves the cursor one row up."""
        self._move_to(self._cursor_index - 1)

    def action_down(self) -> None:
        """Moves the cursor one row down."""
        self._move_to(self._cursor_index + 1)

    def action_page_up(self) -> None:
        """Moves the cursor one screen up."""
        self._move_to(self._cursor_index - max(self.rows_in_sight - 1, 1))

    def action_page_down(self) -> None:
        """Moves the cursor one screen down."""
        self._move_to(self._cursor_index + max(self.rows_in_sight - 1, 1))

    def action_first(self) -> None:
        """Moves the cursor to the top row, and keeps it there when rows are sorted."""
        self._move_to(0)
        self.cursor_key = None

    def action_last(self) -> None:
        """Moves the cursor to the last row."""
        self._move_to(len(self.source) - 1)

    def action_open(self) -> None:
        """Opens the selected row."""
        if self.current is not None or len(self.source) or self.opens_empty:
            self.post_message(self.Opened(self.current))

    def action_sort_by(self, step: int) -> None:
        """Sorts by the next or previous column."""
        able = [column for column in self.source.columns if column.sort is not None]
        keys = [column.key for column in able]
        here = keys.index(self.source.sort_key) if self.source.sort_key in keys else -step
        self.post_message(self.SortWanted(able[(here + step) % len(able)], turn=False))

    def action_reverse(self) -> None:
        """Reverses the sort order."""
        for column in self.source.columns:
            if column.key == self.source.sort_key:
                self.post_message(self.SortWanted(column, turn=True))

    def on_click(self, event: events.Click) -> None:
        """Sorts by a clicked title, selects a clicked row, opens it on a double click."""
        if event.y > 0:
            row = round(self.scroll_y) + event.y - 1
            if row < len(self.source):
                self._move_to(row)
                if event.chain == 2:
                    self.action_open()
            return
        place = GUTTER
        for column, width in self.layout_now():
            if place <= event.x <= place + width and column.sort is not None:
                self.post_message(self.SortWanted(column, turn=column.key == self.source.sort_key))
                return
            place += width + 1
