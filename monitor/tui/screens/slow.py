"""The Slow screen: slow callbacks, grouped by the line that blocked the loop."""

from __future__ import annotations

from typing import Any, ClassVar

from monitor import formatting as fmt
from monitor.store.model import Site
from monitor.tui.base.keys import bindings
from monitor.tui.base.paint import Part
from monitor.tui.rows.base import Rows
from monitor.tui.rows.slow import SlowRows
from monitor.tui.screens.blocking_line import BlockingLineScreen
from monitor.tui.screens.table import TableScreen
from monitor.tui.widgets.live_table import LiveTable

THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class SlowScreen(TableScreen):
    """Lines that block a loop, how often and for how long."""

    MODE = "slow"
    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "table", "slow")
    BINDINGS: ClassVar[list[Any]] = bindings("slow")

    def first_rows(self) -> Rows[Any]:
        """The largest total first."""
        self.lines = SlowRows(self.looptop.store)
        return self.lines

    def apply_filter(self, text: str) -> None:
        """Show the callbacks that contain all words of `text`."""
        self.lines.words = tuple(text.lower().split())

    def about(self) -> tuple[Part, ...]:
        """The threshold and the order."""
        over = fmt.duration(self.looptop.subscription.slow)
        return (self.since(), ("over ", "dim"), (f"{over}  ", "text"), *super().about())

    def empty_text(self) -> str:
        """Explains why the table is empty."""
        if self.lines.words:
            return "No line with these words.\nEsc clears the filter."
        if self.store.read_only:
            return "Not available: this program is read from outside.\nOnly a probe in it can catch blocking lines."
        threshold = fmt.duration(self.looptop.subscription.slow)
        return (
            f"No slow callback so far (threshold {threshold}).\n"
            "A step or callback that runs longer is caught while it blocks the loop,\n"
            "and appears here with the line that it was running.\n"
            "- and + change the threshold for this viewer."
        )

    def action_threshold(self, step: int) -> None:
        """Raises or lowers the threshold for this viewer."""
        now = self.looptop.subscription.slow
        able = [value for value in THRESHOLDS if (value > now + 1e-9 if step > 0 else value < now - 1e-9)]
        if able:
            self.looptop.subscription.slow = able[0] if step > 0 else able[-1]
        self.rearrange_soon()

    def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """Opens the page of the line."""
        self.app.push_screen(BlockingLineScreen(message.key if isinstance(message.key, Site) else None))
