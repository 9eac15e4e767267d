"""The rows of the table of ends: tasks that ended, and what the exception handlers were called with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.formatting import UNKNOWN
from monitor.store.column import Column
from monitor.store.columns import ENDED
from monitor.store.model import EndedTask, Failure
from monitor.tui.base.paint import Part
from monitor.tui.base.theme import STATE_STYLES
from monitor.tui.rows.base import SearchedRows

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence


class EndedRows(SearchedRows[EndedTask]):
    """Tasks that ended, and what the loops' exception handlers were called with."""

    columns = ENDED
    default_sort = "ended"

    def choose(self) -> list[EndedTask]:
        """Both, as rows of one kind."""
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
        """The exception handler is not always told of a task."""
        cells = super().cells(index, columns)
        if self.rows[index].id:
            return cells
        return [(UNKNOWN, "dim") if column.key == "id" else cell for column, cell in zip(columns, cells, strict=True)]

    def key_of(self, row: EndedTask) -> Hashable:
        """An end happens once."""
        return (row.outcome, row.id, row.ended)

    def style(self, row: EndedTask, key: str) -> str:
        """By outcome."""
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
