"""The rows of the Ended screen: ended tasks, and calls of the loops' exception handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.formatting import UNKNOWN
from monitor.store.column import Column
from monitor.store.columns import ENDED
from monitor.store.end_rows import UNHANDLED, EndRow, UnhandledRow
from monitor.tui.base.paint import Part
from monitor.tui.base.theme import STATE_STYLES, label_style
from monitor.tui.rows.base import SearchedRows
from monitor.tui.rows.tasks import with_coroutine

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from monitor.store.model import EndedTask, Unhandled


class EndedRows(SearchedRows[EndRow]):
    """Ended tasks and calls of the loops' exception handlers."""

    columns = ENDED
    default_sort = "ended"

    def choose(self) -> list[EndRow]:
        """Both kinds that match the filter."""
        found: list[EndRow] = list(self.store.ended)
        found += map(UnhandledRow, self.store.unhandled)
        return self.search(found)

    def entry(self, index: int) -> EndedTask | Unhandled:
        """What a row shows."""
        row = self.rows[index]
        return row.entry if isinstance(row, UnhandledRow) else row

    def cells(self, index: int, columns: Sequence[Column[Any]]) -> list[Part]:
        """Shows no id for exception-handler calls that name no task."""
        row = self.rows[index]
        cells = with_coroutine(super().cells(index, columns), columns, row)
        if row.id:
            return cells
        return [(UNKNOWN, "dim") if column.key == "id" else cell for column, cell in zip(columns, cells, strict=True)]

    def key_of(self, row: EndRow) -> Hashable:
        """Ends have no id of their own, so the row itself is the key."""
        return (row.outcome, row.id, row.ended)

    def style(self, row: EndRow, key: str) -> str:
        """Colours the outcome, and the exception of what went wrong."""
        match key:
            case "outcome":
                return STATE_STYLES.get(row.outcome, "text")
            case "exception":
                return "bad" if row.outcome in ("failed", UNHANDLED) else "text"
            case "name":
                return "strong"
            case "label":
                return label_style(row.label)
            case "ended" | "id" | "age":
                return "dim"
            case _:
                return "text"
