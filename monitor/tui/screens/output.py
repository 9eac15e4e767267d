"""The Output screen: what the program printed, under `looptop run`."""

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
        """Builds the page of output."""
        yield Page(self.looptop.palette, follow=True, id="page")

    def on_mount(self) -> None:
        """Give the page the keyboard focus."""
        self._seen: tuple[int, int] = (-1, -1)
        self.query_one(Page).focus()

    def update_body(self) -> None:
        """Show the lines that the program has printed since the last tick."""
        page = self.query_one(Page)
        child = self.looptop.child
        cells = page.cells_wide - 1
        if child is None:
            page.show(
                [
                    line(""),
                    line(" No captured output."),
                    line((" The program was started elsewhere and prints there.", "dim")),
                    line((" looptop run SCRIPT starts a program and shows its output here.", "dim")),
                ]
            )
        elif not child.output.total:
            page.show([line(""), line(" No output so far."), line((" Output of the program appears here.", "dim"))])
        elif (child.output.total, cells) != self._seen and not self.looptop.paused:
            self._seen = (child.output.total, cells)
            page.show(child.output.lines(cells))
        else:
            page.sync()

    def about(self) -> tuple[Part, ...]:
        """The number of kept lines if some were dropped, and whether the end is followed."""
        child = self.looptop.child
        if child is None or not child.output.total:
            return ()
        kept = len(child.output)
        text = f"the last {kept}  " if kept < child.output.total else ""
        return ((text, "dim"), *self.order())

    def order(self) -> tuple[Part, ...]:
        """Whether the end is followed."""
        child = self.looptop.child
        if child is None or not child.output.total:
            return ()
        follows = self.query_one(Page).follow
        return (("following " if follows else "End: follow again ", "dim" if follows else "accent"),)
