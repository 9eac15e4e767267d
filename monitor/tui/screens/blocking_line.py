"""The screen of one line that blocked a loop."""

from __future__ import annotations

from monitor.store.blocked import blocking_line
from monitor.store.model import Site
from monitor.tui.base.paint import Line, line
from monitor.tui.pages.blocking_line import blocking_line_page
from monitor.tui.screens.page import PageScreen


class BlockingLineScreen(PageScreen):
    """The stack with its source, and the most recent blocks."""

    def __init__(self, site: Site | None) -> None:
        super().__init__()
        self.site = site

    def lines(self, cells: int) -> list[Line]:
        """Build the page: the line, its source, its stacks and when it blocked."""
        group = blocking_line(self.store, self.site)
        if group is None or self.of_another_session:
            return [line(("This line belongs to another session; Esc goes back.", "warn"))]
        return blocking_line_page(self.store, group, self.looptop.sources, cells, self.unfolded)
