"""Opens pages above the main screens: of a task, of waits, the flame graph, … Each is imported when it is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.store.task_names import title_of
from monitor.tui.base_app import BaseApp

if TYPE_CHECKING:
    from monitor.store.model import EndedTask
    from monitor.store.store import Store

DEEPEST_STACK = 24


class PagesApp(BaseApp[int]):
    """An app that shows a store, and pages on what is in it."""

    view: Store

    def say(self, text: str, *, bad: bool = False) -> None:
        """Shows a short message that disappears by itself."""
        raise NotImplementedError

    def open_task(self, task_id: int) -> None:
        """Opens the page of a task, live or ended."""
        if not self._has_room():
            return
        if task_id in self.view.tasks:
            from monitor.tui.screens.task import TaskScreen

            self.push_screen(TaskScreen(task_id))
            return
        ended = self._ended(task_id)
        if ended is None and self.in_steps(task_id) is not None:
            self.open_why(task_id)
        elif ended is None:
            self.say(f"#{task_id} has ended and is no longer among the last {len(self.view.ended)} ended tasks")
        else:
            from monitor.tui.screens.end import EndScreen

            self.push_screen(EndScreen(ended))

    def in_steps(self, task_id: int) -> str | None:  # noqa: ARG002 - an app without steps has none
        """The title of an ended task in the steps that are being read; None if it is not among them."""
        return None

    def open_why(self, task_id: int) -> None:
        """Opens the page that explains why a task, live or ended, was late."""
        if self._has_room():
            from monitor.tui.screens.why import WhyScreen

            found = self.view.tasks.get(task_id) or self._ended(task_id)
            title = (self.in_steps(task_id) or f"#{task_id}") if found is None else title_of(found)
            self.push_screen(WhyScreen(task_id, title))

    def open_group_why(self, number: int) -> None:
        """Opens the page that explains why the tasks of a group were late."""
        group = self.view.label_groups.get(number)
        if self._has_room() and group is not None:
            from monitor.tui.screens.group_why import GroupWhyScreen

            self.push_screen(GroupWhyScreen(group.coro, group.label))

    def open_waits(self) -> None:
        """Opens the page of what all tasks wait for."""
        if self._has_room():
            from monitor.tui.screens.group_why import WaitsScreen

            self.push_screen(WaitsScreen())

    async def action_flame(self) -> None:
        """The flame graph, above the main screen."""
        from monitor.tui.screens.flame import FlameScreen

        if not isinstance(self.screen, FlameScreen):
            await self.push_screen(FlameScreen())
            self.call_after_refresh(self.update_now)

    async def action_threads(self) -> None:
        """The threads, above the main screen."""
        from monitor.tui.screens.threads import ThreadsScreen

        if not isinstance(self.screen, ThreadsScreen):
            await self.push_screen(ThreadsScreen())
            self.call_after_refresh(self.update_now)

    def action_past(self) -> None:
        """Opens the figures from before this viewer."""
        from monitor.tui.screens.past import PastScreen

        if not isinstance(self.screen, PastScreen):
            self.push_screen(PastScreen())

    def _has_room(self) -> bool:
        """Whether another page may be opened; says so if not."""
        if len(self.screen_stack) <= DEEPEST_STACK:
            return True
        self.say("too many open pages; Esc goes back")
        return False

    def _ended(self, task_id: int) -> EndedTask | None:
        return next((entry for entry in reversed(self.view.ended) if entry.id == task_id), None)
