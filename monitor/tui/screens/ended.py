"""The Ended screen: ended tasks, and calls of the loops' exception handlers."""

from __future__ import annotations

from typing import Any, ClassVar

from monitor.tui.base.keys import bindings
from monitor.tui.base.paint import Part
from monitor.tui.rows.base import Rows
from monitor.tui.rows.ended import EndedRows
from monitor.tui.screens.end import EndScreen
from monitor.tui.screens.table import TableScreen
from monitor.tui.widgets.live_table import LiveTable


class EndedScreen(TableScreen):
    """The last 1,000 ended tasks, the newest first."""

    MODE = "ended"
    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "table", "ended")
    BINDINGS: ClassVar[list[Any]] = bindings("ended")

    def first_rows(self) -> Rows[Any]:
        """Start with the newest task on top."""
        self.ends = EndedRows(self.looptop.store)
        return self.ends

    def apply_filter(self, text: str) -> None:
        """Show the tasks that contain all words of `text`."""
        self.ends.words = tuple(text.lower().split())

    def about(self) -> tuple[Part, ...]:
        """How many of all are kept, and the order."""
        total = self.store.ended_total
        kept = len(self.store.ended)
        text = f"the last {kept} of {total}  " if total > kept else ""
        return (self.since(), (text, "dim"), *super().about())

    def empty_text(self) -> str:
        """Explains why the table is empty."""
        if self.ends.words:
            return "No ended task with these words.\nEsc clears the filter."
        return "No task has ended since watching began.\nEnded tasks appear here with their outcome and traceback."

    def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """Opens the page of the row."""
        place = self.ends.index(message.key)
        if place is not None:
            self.app.push_screen(EndScreen(self.ends.entry(place)))

    def action_why(self) -> None:
        """Explains why the selected task was late."""
        place = self.ends.index(self.table.current) if self.table.current is not None else None
        if place is not None and self.ends.rows[place].id:
            self.looptop.open_why(self.ends.rows[place].id)
