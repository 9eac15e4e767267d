"""The screen of one allocation site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from monitor.tui.base.keys import bindings
from monitor.tui.base.paint import Line, line
from monitor.tui.pages.allocation import allocation_page
from monitor.tui.screens.page import PageScreen

if TYPE_CHECKING:
    from monitor.store.memory import Place
    from monitor.tui.controllers.tracing import Tracer

MOST_ASKED = 300
"""Most tasks whose await stacks are requested, busiest first: walking a stack costs the program about 3 µs."""


class AllocationScreen(PageScreen):
    """A line, file or traceback: its growth, source, and the tasks that run there."""

    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "page", "allocation")
    BINDINGS: ClassVar[list[Any]] = bindings("allocation")

    def __init__(self, place: Place, tracer: Tracer) -> None:
        super().__init__()
        self.place = place
        self._tracer = tracer
        self._asked = 0

    def on_mount(self) -> None:
        """Requests the data that only this page shows."""
        self._ask()

    def _ask(self) -> None:
        app = self.looptop
        if app.source.request("tasks", sort="busy", limit=MOST_ASKED):
            self._asked = MOST_ASKED
        tracing = app.store.memory.tracing
        if tracing is not None and tracing.frames > 1 and self._tracer.group != "traceback":
            self._tracer.take_snapshot("traceback")

    def lines(self, cells: int) -> list[Line]:
        """Builds the page; snapshots continue while it is open."""
        if self.of_another_session:
            return [line(("This line belongs to another session; Esc goes back.", "warn"))]
        self._tracer.snapshot_if_due()
        group, sources = self._tracer.group, self.looptop.sources
        return allocation_page(self.store, self.place, group, sources, cells, self._asked, self.unfolded)

    def wants(self) -> dict[str, Any]:
        """Keeps the memory figures coming."""
        return {"window": [], "detail": None, "memory": True}

    def action_look_now(self) -> None:
        """Requests the data again."""
        self._ask()
        if not self._tracer.asking:
            self._tracer.take_snapshot()
