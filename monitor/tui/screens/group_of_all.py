"""One group of all workers of a service: its figures together and by worker; Enter goes into a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen

from monitor.tui.base.paint import line
from monitor.tui.pages.group import group_page_of_all
from monitor.tui.widgets.page import Page

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from monitor.fleet.service import Service
    from monitor.tui.base.theme import Palette


class Watcher(Protocol):
    """The app of the Service screen, as far as this page knows it."""

    service: Service
    palette: Palette

    def choose(self, slot: int) -> None:
        """Open the dashboard of a worker."""


class GroupOfAllScreen(ModalScreen[None]):
    """The page of a group, over the table of all groups."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape", "dismiss", "Back", show=False),
        Binding("q,ctrl+q,ctrl+c", "app.leave", "Quit", show=False),
    ]

    def __init__(self, coro: str, label: str | None, worker: int | None = None) -> None:
        """`worker`: only of this one."""
        super().__init__()
        self._of = coro, label, worker

    @property
    def watcher(self) -> Watcher:
        """The app, as far as the page knows it."""
        return cast("Watcher", self.app)

    def compose(self) -> ComposeResult:
        """Build the one page."""
        with Vertical(id="group-of-all") as box:
            box.border_title = "Group"
            box.border_subtitle = "Esc back  ↑↓ PgUp PgDn scroll  Enter the worker"
            yield Page(self.watcher.palette, id="group-page")

    def on_mount(self) -> None:
        """Give the page the keyboard focus."""
        self.query_one(Page).focus()

    def on_resize(self) -> None:
        """Build the page in its new width."""
        self.call_after_refresh(self.update_view)

    def update_view(self) -> None:
        """Build the page again."""
        page = self.query_one(Page)
        coro, label, worker = self._of
        parts = self.watcher.service.parts_of_group(coro, label, worker)
        gone = [line(("No worker has tasks of this group now; Esc goes back.", "warn"))]
        page.show(group_page_of_all(parts, page.cells_wide - 1) if parts else gone)

    def on_page_opened(self, message: Page.Opened) -> None:
        """Go into the worker of a line."""
        match message.target:
            case ("worker", int(slot), _):
                self.dismiss()
                self.watcher.choose(slot)
