"""The screen of one task: facts, await stack, histograms, waits, waiters and children."""

from __future__ import annotations

from typing import Any, ClassVar

from monitor.store.model import Task, TaskDetail
from monitor.tui.base.keys import bindings
from monitor.tui.base.paint import Line, line
from monitor.tui.pages.task import Subject, task_page
from monitor.tui.screens.page import PageScreen


class TaskScreen(PageScreen):
    """One task. When it has ended, its last state stays."""

    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "page", "task")
    BINDINGS: ClassVar[list[Any]] = bindings("task")

    def __init__(self, task_id: int) -> None:
        super().__init__()
        self.task_id = task_id
        self._last: Task | None = None
        self._detail: TaskDetail | None = None
        self._asked = False  # the details had not been collected at the last repaint
        self._late: float | None = None

    def lines(self, cells: int) -> list[Line]:
        """Builds the page with the last known state."""
        if self.of_another_session:
            return [line((f"Task {self.task_id} belongs to another session; Esc goes back.", "warn"))]
        store, app = self.store, self.looptop
        task = store.tasks.get(self.task_id)
        if task is not None:
            self._last = task
        before, self._detail = self._detail, store.details.get(self.task_id, self._detail)
        if not app.paused:
            self._late = None
        elif before is None and self._detail is not None and self._asked:
            self._late = max(app.store.now - store.now, 0.0)
        self._asked = self._detail is None
        if self._last is None:
            return [line((f"Task {self.task_id} is not known or no longer kept; Esc goes back.", "warn"))]
        alive = task is not None
        subject = Subject(
            self._last,
            alive,
            self._detail,
            gone=alive and self.task_id not in app.store.tasks,
            late=self._late,
            recorded=app.player is not None,
            unfolded=self.unfolded,
        )
        return task_page(store, subject, app.sources, cells, app.subscription.origins, app.subscription.slow)

    def wants(self) -> dict[str, Any]:
        """Requests the details of this task."""
        return {"window": [], "detail": None if self.of_another_session else self.task_id}

    def action_why(self) -> None:
        """Explains why this task was late."""
        self.looptop.open_why(self.task_id)

    def action_cancel(self) -> None:
        """Cancels the task after a confirmation."""
        self.looptop.control.cancel(self.task_id)

    def action_parent(self) -> None:
        """Opens the task that created this one."""
        if self._last is not None and self._last.parent:
            self.looptop.open_task(self._last.parent)
        else:
            self.looptop.say("this task has no parent: it was created outside any task")
