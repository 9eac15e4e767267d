"""The Threads screen: what each thread uses, where it is, and for whom; Enter opens a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.store.threads import place
from monitor.tui.base.paint import Line, line
from monitor.tui.pages.threads import summary, thread_page
from monitor.tui.rows.base import Rows
from monitor.tui.rows.threads import ThreadRows
from monitor.tui.screens.page import PageScreen
from monitor.tui.screens.table import TableScreen
from monitor.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from monitor.store.threads import Thread
    from monitor.tui.widgets.live_table import LiveTable

FACTS = 2
EVERY = 1
"""Seconds between two looks of the probe at the threads."""


class ThreadsScreen(TableScreen):
    """The threads of the program, the busiest first, below a summary."""

    def first_rows(self) -> Rows[Any]:
        """Start with the busiest thread on top."""
        self.threads = ThreadRows(self.looptop.store)
        return self.threads

    def compose_body(self) -> ComposeResult:
        """Puts the summary above the table."""
        box = Lines(self.looptop.palette, id="facts")
        box.styles.height = FACTS
        yield box
        yield from super().compose_body()

    def update_body(self) -> None:
        """Updates the summary, then the table."""
        self.query_one("#facts", Lines).show(summary(self.store.threads, self.store))
        super().update_body()

    def wants(self) -> dict[str, Any]:
        """Request looks at the threads and samples of the GIL, and no rows of tasks."""
        return {"window": [], "detail": None, "threads": EVERY, "gil": True}

    def apply_filter(self, text: str) -> None:
        """Show the threads that contain all words of `text`."""
        self.threads.words = tuple(text.lower().split())

    def whole_row(self, cells: int) -> list[Line]:  # noqa: ARG002 - the line is cut by the widget
        """The line and the job of the selected thread, which columns cut."""
        row = self._selected()
        if row is None:
            return []
        where = place(row.at, self.store.roots)
        return [line((f" {row.facts.name}", "strong"), (f"  {where}" if where else "", "text"))]

    def _selected(self) -> Thread | None:
        current = self.table.current
        return next((row for row in self.threads.rows if row.facts.native == current), None)

    def empty_text(self) -> str:
        """Explains why the table is empty."""
        if self.threads.words:
            return "No thread with these words.\nEsc clears the filter."
        if self.store.read_only:
            return "Not available: this program is read from outside.\nLooking at its threads needs a probe in it."
        if self.looptop.replaying:
            return "No look at the threads so far in this recording."
        return "No look at the threads yet."

    def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """Opens the page of the thread."""
        if isinstance(message.key, int):
            self.app.push_screen(ThreadScreen(message.key))


class ThreadScreen(PageScreen):
    """One thread. When it has ended, its last state stays."""

    def __init__(self, native: int) -> None:
        super().__init__()
        self.native = native
        self._last: Thread | None = None

    def wants(self) -> dict[str, Any]:
        """Request looks at the threads and samples of the GIL, and no rows of tasks."""
        return {"window": [], "detail": None, "threads": EVERY, "gil": True}

    def lines(self, cells: int) -> list[Line]:
        """Builds the page with the last known state."""
        if self.of_another_session:
            return [line(("This thread belongs to another session; Esc goes back.", "warn"))]
        found = next((row for row in self.store.threads.rows if row.facts.native == self.native), None)
        self._last = found or self._last
        if self._last is None:
            return [line(("This thread has ended; Esc goes back.", "warn"))]
        ended = [] if found is not None else [line(("It has ended; this is what was seen last.", "warn"))]
        return ended + thread_page(self._last, self.store, self.looptop.sources, cells, self.unfolded)
