"""The rows of the table of slow callbacks: the lines that blocked a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.store.columns import SLOW
from monitor.store.slow_log import BlockingLine
from monitor.tui.rows.base import Searched

if TYPE_CHECKING:
    from collections.abc import Hashable


class SlowRows(Searched[BlockingLine]):
    """The lines that blocked a loop."""

    columns = SLOW
    default_sort = "total"

    def choose(self) -> list[BlockingLine]:
        """All lines that were blamed."""
        return self.search(list(self.store.slow.lines.values()))

    def key_of(self, row: BlockingLine) -> Hashable:
        """A line; what could not be caught has a name of its own."""
        return row.line or "unknown"

    def style(self, row: BlockingLine, key: str) -> str:
        """The line is what one came for."""
        match key:
            case "line":
                return "strong" if row.line is not None else "dim"
            case "worst":
                return "bad" if row.worst >= 1 else "warn"
            case "last":
                return "dim"
            case _:
                return "text"
