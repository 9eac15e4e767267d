"""The rows of the table of slow callbacks: the lines that blocked a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.store.blocked import blocking_line, blocking_lines
from monitor.store.columns import SLOW
from monitor.store.slow_log import BlockingLine
from monitor.tui.rows.base import SearchedRows

if TYPE_CHECKING:
    from collections.abc import Hashable


class SlowRows(SearchedRows[BlockingLine]):
    """The lines that blocked a loop."""

    columns = SLOW
    default_sort = "total"

    def choose(self) -> list[BlockingLine]:
        """All lines that were blamed, or block a loop now."""
        return self.search(blocking_lines(self.store))

    def order(self, rows: list[BlockingLine]) -> list[BlockingLine]:
        """What blocks a loop now comes first, whatever the order."""
        return sorted(super().order(rows), key=lambda row: row.now is None)

    def now(self, row: BlockingLine) -> BlockingLine:
        """The row with what the line blocks now."""
        return blocking_line(self.store, row.line) or row

    def key_of(self, row: BlockingLine) -> Hashable:
        """A line; what could not be caught has a name of its own."""
        return row.line or "unknown"

    def style(self, row: BlockingLine, key: str) -> str:
        """The line is what one came for."""
        match key:
            case "line":
                return "strong" if row.line is not None else "dim"
            case "worst":
                return "bad" if max(row.worst, row.now.duration if row.now else 0.0) >= 1 else "warn"
            case "last":
                return "bad" if row.now else "dim"
            case _:
                return "text"
