"""Tasks that ended, and how; and what the loops' exception handlers were called with."""

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
    """The last 1,000 ends."""

    MODE = "ended"
    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "table", "ended")
    BINDINGS: ClassVar[list[Any]] = bindings("ended")

    def first_rows(self) -> Rows[Any]:
        """The newest first."""
        self.ends = EndedRows(self.looptop.store)
        return self.ends

    def apply_filter(self, text: str) -> None:
        """Words."""
        self.ends.words = tuple(text.lower().split())

    def about(self) -> tuple[Part, ...]:
        """How many of all, and the order."""
        total = self.store.ended_total
        kept = len(self.store.ended)
        text = f"the last {kept} of {total}  " if total > kept else ""
        return ((text, "dim"), *super().about())

    def empty_text(self) -> str:
        """Why there is nothing."""
        if self.ends.words:
            return "No ended task with these words.\nEsc clears the filter."
        return "No task has ended since watching began.\nEnded tasks come here with their outcome and traceback."

    def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """How it ended."""
        place = self.ends.index(message.key)
        if place is not None:
            self.app.push_screen(EndScreen(self.ends.rows[place]))
