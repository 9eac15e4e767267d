"""The pages that explain why the tasks of a group were late, and what all tasks wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from monitor.tui.base.keys import bindings
from monitor.tui.base.paint import Line
from monitor.tui.pages.group_why import group_why_page, waits_page
from monitor.tui.screens.page import PageScreen

if TYPE_CHECKING:
    from monitor.trace.collect import Trace
    from monitor.trace.explain import Reason
    from monitor.trace.wait_profile import WaitProfile

EVERY = 2.0
"""Seconds between two looks at the steps: many tasks take long to explain."""
EXEMPLARS = 5


class StepsScreen(PageScreen):
    """A page about the steps of many tasks."""

    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "page")
    BINDINGS: ClassVar[list[Any]] = bindings("page")

    def __init__(self) -> None:
        super().__init__()
        self._looked = float("-inf")

    def on_mount(self) -> None:
        """Requests the steps."""
        super().on_mount()
        self.looptop.steps.begin()

    def on_unmount(self) -> None:
        """Lets go of them."""
        self.looptop.steps.end()

    def wants(self) -> dict[str, Any]:
        """Requests the steps remembered and those to come, and what the oldest live tasks wait on."""
        return {"window": sorted(self.looptop.store.tasks)[:100], "detail": None, "steps": "past", "groups": True}

    def fresh_trace(self) -> Trace | None:
        """The steps, if they should be looked at again now."""
        now = self.looptop.clock()
        trace = self.looptop.steps.trace
        if trace is None or not trace.pieces or self.looptop.paused or now - self._looked < EVERY:
            return None
        self._looked = now
        trace.name_live_tasks()
        return trace


class GroupWhyScreen(StepsScreen):
    """What the slowest tasks of a group have in common, and what all of its tasks waited for."""

    def __init__(self, coro: str, label: str | None) -> None:
        super().__init__()
        self._coro, self._label = coro, label
        self._reasons: list[Reason] = []
        self._profile: WaitProfile | None = None

    def lines(self, cells: int) -> list[Line]:
        """Builds the page."""
        trace = self.fresh_trace()
        if trace is not None:
            from monitor.trace.explain import explain, slowest
            from monitor.trace.wait_profile import wait_profile

            group = f"{self._coro} {self._label}" if self._label else self._coro
            found = slowest(trace.timeline, EXEMPLARS, group)
            self._reasons = [explain(trace.timeline, life) for life in found]
            self._profile = wait_profile(trace.timeline, self.store, self._coro, self._label)
        waits = None if self._profile is None else self._profile.all
        title = self._label or self._coro
        return group_why_page(self.store, title, self._reasons, waits, self.looptop.steps.trace, cells)


class WaitsScreen(StepsScreen):
    """What all tasks waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._profile: WaitProfile | None = None

    def lines(self, cells: int) -> list[Line]:
        """Builds the page."""
        trace = self.fresh_trace()
        if trace is not None:
            from monitor.trace.wait_profile import wait_profile

            self._profile = wait_profile(trace.timeline, self.store)
        profile = self._profile
        waits, groups = (None, []) if profile is None else (profile.all, profile.groups)
        return waits_page(self.store, waits, groups, self.looptop.steps.trace, cells)
