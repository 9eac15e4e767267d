"""The page that explains why a task was late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.tui.base.paint import Line
from monitor.tui.pages.why import why_page
from monitor.tui.screens.steps import StepsScreen

if TYPE_CHECKING:
    from monitor.trace.explain import Reason


class WhyScreen(StepsScreen):
    """What a task ran, queued behind and waited for, and its critical path."""

    def __init__(self, task_id: int, title: str) -> None:
        super().__init__()
        self.task_id = task_id
        self.title_text = title
        self._reason: Reason | None = None

    def wants(self) -> dict[str, Any]:
        """Requests the steps remembered and those to come, and what the task waits on now."""
        return {"window": [self.task_id], "detail": None, "steps": "past"}

    def lines(self, cells: int) -> list[Line]:
        """Build the page: the parts of the task's age and the critical path."""
        trace = self.trace_if_due()
        if trace is not None:
            from monitor.trace.explain import explain

            trace.add_running()
            life = trace.timeline.lives.get(self.task_id & 0xFFFFFFFF)
            if life is not None and (life.steps or life.ended):
                self._reason = explain(
                    trace.timeline, life, trace.born(self.task_id), now=trace.waits_now(self.task_id)
                )
        return why_page(self.store, self.task_id, self.title_text, self._reason, self.looptop.steps.trace, cells)
