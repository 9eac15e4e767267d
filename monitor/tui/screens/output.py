"""What the program printed, under `looptop run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from monitor.tui.base.paint import Part, line
from monitor.tui.screens.base import LiveScreen
from monitor.tui.widgets.page import Page

if TYPE_CHECKING:
    from textual.app import ComposeResult


class OutputScreen(LiveScreen):
    """The last 5,000 lines; follows the end unless scrolled up."""

    MODE = "output"
    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "output")

    def compose_body(self) -> ComposeResult:
        """The page."""
        yield Page(self.looptop.palette, follow=True, id="page")

    def on_mount(self) -> None:
        """The keys go to the page."""
        self._seen: tuple[int, int] = (-1, -1)
        self.query_one(Page).focus()

    def look_at_body(self) -> None:
        """What is new."""
        page = self.query_one(Page)
        guest = self.looptop.guest
        cells = page.cells_wide - 1
        if guest is None:
            page.show(
                [
                    line(""),
                    line(" No output is captured here."),
                    line((" The program was started elsewhere and prints there.", "dim")),
                    line((" looptop run SCRIPT starts a program and shows here what it prints.", "dim")),
                ]
            )
        elif not guest.output.total:
            page.show(
                [line(""), line(" Nothing was printed so far."), line((" What the program prints comes here.", "dim"))]
            )
        elif (guest.output.total, cells) != self._seen and not self.looptop.paused:
            self._seen = (guest.output.total, cells)
            page.show(guest.output.lines(cells))
        else:
            page.sync()

    def about(self) -> tuple[Part, ...]:
        """How many lines are kept where these are not all, which the tab counts; and whether the end is followed."""
        guest = self.looptop.guest
        if guest is None or not guest.output.total:
            return ()
        kept = len(guest.output)
        text = f"the last {kept}  " if kept < guest.output.total else ""
        return ((text, "dim"), *self.order())

    def order(self) -> tuple[Part, ...]:
        """Whether the end is followed."""
        guest = self.looptop.guest
        if guest is None or not guest.output.total:
            return ()
        follows = self.query_one(Page).follow
        return (("follows the end " if follows else "End follows again ", "dim" if follows else "accent"),)
