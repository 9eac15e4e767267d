"""The rows of the Slow screen: lines that blocked a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.store.blocked import blocking_line, blocking_lines
from monitor.store.columns import SLOW
from monitor.store.slow_log import BlockingLine
from monitor.tui.base.theme import label_style
from monitor.tui.rows.base import SearchedRows

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from monitor.store.column import Column
    from monitor.tui.base.paint import Part


def with_label(cells: list[Part], columns: Sequence[Column[Any]], row: BlockingLine) -> list[Part]:
    """Shows the label in place of the task or callback if there is no room for its column."""
    keys = [column.key for column in columns]
    if row.label and "task" in keys and "label" not in keys:
        cells[keys.index("task")] = (row.label, label_style(row.label))
    return cells


class SlowRows(SearchedRows[BlockingLine]):
    """Lines that blocked a loop."""

    columns = SLOW
    default_sort = "total"

    def choose(self) -> list[BlockingLine]:
        """All lines that blocked a loop or block one now."""
        return self.search(blocking_lines(self.store))

    def order(self, rows: list[BlockingLine]) -> list[BlockingLine]:
        """Puts lines that block a loop now first."""
        return sorted(super().order(rows), key=lambda row: row.now is None)

    def now(self, row: BlockingLine) -> BlockingLine:
        """The line including its current block."""
        return blocking_line(self.store, row.line) or row

    def key_of(self, row: BlockingLine) -> Hashable:
        """The line; blocks that were not caught in time share one key."""
        return row.line or "unknown"

    def cells(self, index: int, columns: Sequence[Column[Any]]) -> list[Part]:
        """Shows the label in place of the task where there is no room for both."""
        return with_label(super().cells(index, columns), columns, self.now(self.rows[index]))

    def style(self, row: BlockingLine, key: str) -> str:
        """Highlights the line and long blocks."""
        match key:
            case "line":
                return "strong" if row.line is not None else "dim"
            case "worst":
                return "bad" if max(row.worst, row.now.duration if row.now else 0.0) >= 1 else "warn"
            case "last":
                return "bad" if row.now else "dim"
            case "label":
                return label_style(row.label)
            case _:
                return "text"
