"""The rows of the Ended screen: ended tasks, and calls of the loops' exception handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.formatting import UNKNOWN
from monitor.store.column import Column
from monitor.store.columns import ENDED
from monitor.store.model import EndedTask, Failure
from monitor.tui.base.paint import Part
from monitor.tui.base.theme import STATE_STYLES
from monitor.tui.rows.base import SearchedRows
from monitor.tui.rows.tasks import with_coroutine

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence


class EndedRows(SearchedRows[EndedTask]):
    """Ended tasks and calls of the loops' exception handlers."""

    columns = ENDED
    default_sort = "ended"

    def choose(self) -> list[EndedTask]:
        """Both kinds as rows of one type."""
        found = list(self.store.ended)
        found += [
            EndedTask(
                id=entry.task or 0,
                name=entry.name or "",
                coro=entry.message,
                outcome="unhandled",
                ended=entry.at,
                age=None,
                busy=None,
                scheduled=None,
                steps=None,
                max_step=None,
                site=None,
                parent=0,
                loop=0,
                failure=entry.failure or Failure("", entry.message, ()),
            )
            for entry in self.store.unhandled
        ]
        return self.search(found)

    def cells(self, index: int, columns: Sequence[Column[Any]]) -> list[Part]:
        """Leaves the age empty for exception-handler calls that name no task."""
        row = self.rows[index]
        cells = with_coroutine(super().cells(index, columns), columns, row)
        if row.id:
            return cells
        return [(UNKNOWN, "dim") if column.key == "id" else cell for column, cell in zip(columns, cells, strict=True)]

    def key_of(self, row: EndedTask) -> Hashable:
        """Ends have no id of their own, so the row itself is the key."""
        return (row.outcome, row.id, row.ended)

    def style(self, row: EndedTask, key: str) -> str:
        """Colours the outcome."""
        match key:
            case "outcome":
                return STATE_STYLES.get(row.outcome, "text")
            case "exception":
                return "bad" if row.outcome in ("failed", "unhandled") else "text"
            case "name":
                return "strong"
            case "ended" | "id" | "age":
                return "dim"
            case _:
                return "text"
