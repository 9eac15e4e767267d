"""The screen of one ended task, or of one call of a loop's exception handler."""

from __future__ import annotations

from typing import Any, ClassVar

from monitor.store.model import EndedTask, Unhandled
from monitor.tui.base.keys import bindings
from monitor.tui.base.paint import Line
from monitor.tui.pages.end import end_page
from monitor.tui.screens.page import PageScreen


class EndScreen(PageScreen):
    """Outcome, facts and traceback."""

    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "page", "ended")
    BINDINGS: ClassVar[list[Any]] = bindings("ended")

    def __init__(self, end: EndedTask | Unhandled) -> None:
        super().__init__()
        self.end = end

    def lines(self, cells: int) -> list[Line]:
        """Build the page: how the task ended, its traceback and its last figures."""
        app = self.looptop
        return end_page(self.store, self.end, app.sources, cells, app.subscription.locals_kept, self.unfolded)

    def action_why(self) -> None:
        """Explains why this task was late."""
        task = self.end.task if isinstance(self.end, Unhandled) else self.end.id
        if task:
            self.looptop.open_why(task)
