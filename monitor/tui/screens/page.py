"""The base of screens with one page. Pure functions in `monitor.tui.pages` build the lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from monitor.tui.base.paint import Line
from monitor.tui.screens.base import LiveScreen
from monitor.tui.widgets.page import Page

if TYPE_CHECKING:
    from collections.abc import Hashable

    from textual.app import ComposeResult


class PageScreen(LiveScreen):
    """One page, built again at every tick."""

    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "page")

    def __init__(self) -> None:
        super().__init__()
        session = self.looptop.store.session
        self._session = session.id if session is not None else ""
        self.unfolded: set[Hashable] = set()

    def compose_body(self) -> ComposeResult:
        """Builds the page widget."""
        yield Page(self.looptop.palette, id="page")

    @property
    def page(self) -> Page:
        """The widget that shows the lines."""
        return self.query_one("#page", Page)

    def on_mount(self) -> None:
        """Give the page the keyboard focus."""
        self.page.focus()

    def lines(self, cells: int) -> list[Line]:
        """Builds the lines of the page."""
        raise NotImplementedError

    def update_body(self) -> None:
        """Builds the page again."""
        self.page.show(self.lines(self.page.cells_wide - 1))

    @property
    def of_another_session(self) -> bool:
        """Whether the dashboard is connected to another program than when the page was opened."""
        session = self.looptop.store.session
        return session is not None and session.id != self._session

    def on_page_opened(self, message: Page.Opened) -> None:
        """Opens the task of a line, or folds and unfolds frames."""
        match message.target:
            case ("task", int(task_id)):
                self.looptop.open_task(task_id)
            case ("fold", _, _):
                self.unfolded ^= {message.target}
                self.update_view()
