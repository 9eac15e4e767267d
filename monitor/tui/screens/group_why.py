"""The pages that explain why the tasks of a group were late, and what all tasks wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from monitor.tui.base.paint import Line
from monitor.tui.pages.group_why import group_why_page, waits_page
from monitor.tui.screens.steps import StepsScreen

if TYPE_CHECKING:
    from monitor.store.model import Task
    from monitor.trace.collect import Trace
    from monitor.trace.explain import Reason
    from monitor.trace.timeline import Life
    from monitor.trace.wait_profile import WaitProfile

EXEMPLARS = 5
IN_SIGHT = 100
"""Live tasks of which it is read at a time what they wait on."""
LOOK_AGAIN = 0.5
"""Seconds after which it is read of other ones."""


class _ManyTasksScreen(StepsScreen):
    """A page about the steps of many tasks, which take long to explain."""

    EVERY: ClassVar[float] = 2.0

    def __init__(self) -> None:
        super().__init__()
        self._chosen = float("-inf")

    def wants(self) -> dict[str, Any]:
        """Requests the steps remembered and those to come, and in turn what live tasks wait on."""
        trace, now = self.looptop.steps.trace, self.looptop.clock()
        if trace is not None and now - self._chosen >= LOOK_AGAIN:
            self._chosen = now
            trace.window = self.in_sight(trace)
        window = [] if trace is None else trace.window
        return {"window": window, "detail": None, "steps": "past", "groups": True}

    def in_sight(self, trace: Trace) -> list[int]:
        """Return the next live tasks of which it is to be read what they wait on."""
        return trace.to_read(IN_SIGHT)

    def trace_if_due(self) -> Trace | None:
        """Return the steps with names of live tasks, once all that is remembered has come: the oldest comes first."""
        steps = self.looptop.steps.trace
        trace = super().trace_if_due() if steps is not None and steps.pieces and steps.is_whole else None
        if trace is not None:
            trace.name_live_tasks()
        return trace


class GroupWhyScreen(_ManyTasksScreen):
    """What the slowest tasks of a group have in common, and what all of its tasks waited for."""

    def __init__(self, coro: str, label: str | None) -> None:
        super().__init__()
        self._coro, self._label = coro, label
        self._reasons: list[Reason] = []
        self._profile: WaitProfile | None = None

    def in_sight(self, trace: Trace) -> list[int]:
        """Return those of the group."""
        return trace.to_read(IN_SIGHT, self._holds)

    def _holds(self, task: Task | Life) -> bool:
        """Whether a task belongs to the group."""
        return (task.coro, task.label) == (self._coro, self._label)

    def lines(self, cells: int) -> list[Line]:
        """Build the page from the newest reading of the steps."""
        trace = self.trace_if_due()
        if trace is not None:
            from monitor.trace.choose import explain_slowest
            from monitor.trace.wait_profile import wait_profile

            trace.add_running()
            self._reasons = explain_slowest(trace, EXEMPLARS, self._holds)
            self._profile = wait_profile(trace.timeline, self.store, self._coro, self._label, trace.is_read)
        waits = None if self._profile is None else self._profile.all
        title = self._label or self._coro
        return group_why_page(self.store, title, self._reasons, waits, self.looptop.steps.trace, cells)


class WaitsScreen(_ManyTasksScreen):
    """What all tasks waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._profile: WaitProfile | None = None

    def lines(self, cells: int) -> list[Line]:
        """Build the page from the newest reading of the steps."""
        trace = self.trace_if_due()
        if trace is not None:
            from monitor.trace.wait_profile import wait_profile

            self._profile = wait_profile(trace.timeline, self.store, is_read=trace.is_read)
        profile = self._profile
        waits, groups = (None, []) if profile is None else (profile.all, profile.groups)
        return waits_page(self.store, waits, groups, self.looptop.steps.trace, cells)
