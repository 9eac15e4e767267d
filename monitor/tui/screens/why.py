"""The page that explains why a task was late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from monitor.tui.base.keys import bindings
from monitor.tui.base.paint import Line
from monitor.tui.pages.why import why_page
from monitor.tui.screens.page import PageScreen

if TYPE_CHECKING:
    from monitor.trace.explain import Reason

EVERY = 1.0
"""Seconds between two readings of the steps."""


class WhyScreen(PageScreen):
    """What a task ran, queued behind and waited for, and its critical path."""

    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "page")
    BINDINGS: ClassVar[list[Any]] = bindings("page")

    def __init__(self, task_id: int, title: str) -> None:
        super().__init__()
        self.task_id = task_id
        self.title_text = title
        self._reason: Reason | None = None
        self._looked = float("-inf")

    def on_mount(self) -> None:
        """Request the steps of the task from the probe."""
        super().on_mount()
        self.looptop.steps.begin()

    def on_unmount(self) -> None:
        """Releases the steps."""
        self.looptop.steps.end()

    def wants(self) -> dict[str, Any]:
        """Requests the steps remembered and those to come, and what the task waits on now."""
        return {"window": [self.task_id], "detail": None, "steps": "past"}

    def lines(self, cells: int) -> list[Line]:
        """Build the page: the parts of the task's age and the critical path."""
        app = self.looptop
        now = app.clock()
        trace = app.steps.trace
        if trace is not None and not app.paused and now - self._looked >= EVERY:
            self._looked = now
            from monitor.trace.explain import explain

            life = trace.timeline.lives.get(self.task_id & 0xFFFFFFFF)
            if life is not None and (life.steps or life.ended):
                self._reason = explain(
                    trace.timeline, life, trace.born(self.task_id), now=trace.waits_now(self.task_id)
                )
        return why_page(self.store, self.title_text, self._reason, trace, cells)
