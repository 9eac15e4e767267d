"""The Groups screen: tasks by coroutine and label, or by creation site; Enter opens a group."""

from __future__ import annotations

from typing import Any, ClassVar

from monitor import formatting as fmt
from monitor.store.label_groups import NOT_COUNTED, WHILE_WATCHED
from monitor.tui.base.keys import bindings
from monitor.tui.base.paint import Line, Part, line
from monitor.tui.pages.group import group_page
from monitor.tui.rows.base import Rows
from monitor.tui.rows.groups import GroupRows
from monitor.tui.screens.page import PageScreen
from monitor.tui.screens.table import TableScreen
from monitor.tui.widgets.live_table import LiveTable


class GroupsScreen(TableScreen):
    """What endpoints, jobs and coroutines do: rate, failures, percentiles, where the time goes."""

    MODE = "groups"
    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "table", "group_list", "groups")
    BINDINGS: ClassVar[list[Any]] = bindings("group_list", "groups")

    def first_rows(self) -> Rows[Any]:
        """The largest total first."""
        self.groups = GroupRows(self.looptop.store)
        return self.groups

    def wants(self) -> dict[str, Any]:
        """What this screen subscribes to: the groups."""
        return {"window": [], "detail": None, "groups": True, "groups_by_site": self.groups.by_site}

    def about(self) -> tuple[Part, ...]:
        """What the groups are, if it is not what their label says, the times that the figures cover, and the order."""
        what: tuple[Part, ...] = (("by creation site", "text"), ("  ", "text")) if self.groups.by_site else ()
        groups, now = self.store.label_groups, self.store.now
        over = groups.rate_over(now)
        times = "" if groups.since is None else f"in {fmt.age(now - groups.since)}  "
        rates = "" if over is None else f"/s over {fmt.age(over)}  "
        return (*what, (times + rates, "dim"), *super().about())

    def label(self, key_id: str, label: str) -> str:
        """Labels `b` with what it switches to."""
        return "By label" if key_id == "group_by" and self.groups.by_site else super().label(key_id, label)

    def action_by(self) -> None:
        """Switches between groups of labels and of creation sites."""
        self.groups.by_site = not self.groups.by_site
        self.rearrange()
        self.update_view()

    def apply_filter(self, text: str) -> None:
        """Show the groups that contain all words of `text`."""
        self.groups.words = tuple(text.lower().split())

    def empty_text(self) -> str:
        """Explains why the table is empty."""
        if self.groups.words:
            return "No group with these words.\nEsc clears the filter."
        if self.store.read_only:
            return "Not available: this program is read from outside.\nOnly a probe in it counts groups."
        if self.looptop.replaying:
            return "This recording has no groups: they were not recorded."
        hooks = "" if self.store.session is None else self.store.session.hooks
        if "free-threaded" in hooks:
            return f"Not available: {NOT_COUNTED}."
        if hooks not in ("", "C"):
            return f"No task has begun since this screen was opened.\n{WHILE_WATCHED.capitalize()}."
        return "No tasks yet.\nGroups are the tasks of one coroutine and label (a route, an RPC method)."

    def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """Opens the page of the group."""
        if isinstance(message.key, int):
            self.app.push_screen(GroupScreen(message.key))

    def action_why(self) -> None:
        """Explains why the tasks of the selected group were late."""
        if self.groups.by_site:
            self.looptop.say("only by coroutine and label: press b")
        elif isinstance(self.table.current, int):
            self.looptop.open_group_why(self.table.current)

    def action_waits(self) -> None:
        """Shows what all tasks wait for."""
        self.looptop.open_waits()


class GroupScreen(PageScreen):
    """One group: how long its tasks take, the slowest, the failed, where live ones are."""

    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "page", "groups")
    BINDINGS: ClassVar[list[Any]] = bindings("page", "groups")

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def wants(self) -> dict[str, Any]:
        """Requests the groups, and where its live tasks wait."""
        group = self.looptop.store.label_groups.find(self.number)
        window = [] if group is None else [task.id for task in group.live_tasks(self.looptop.store.tasks.values())]
        by_site = group is not None and group.by_site
        return {"window": window[:100], "detail": None, "groups": True, "groups_by_site": by_site}

    def lines(self, cells: int) -> list[Line]:
        """Build the page of one group: durations, waits and live tasks."""
        group = self.store.label_groups.find(self.number)
        if group is None or self.of_another_session:
            return [line(("This group belongs to another session; Esc goes back.", "warn"))]
        return group_page(self.store, group, cells)

    def action_why(self) -> None:
        """Explains why the tasks of this group were late."""
        self.looptop.open_group_why(self.number)

    def action_waits(self) -> None:
        """Shows what all tasks wait for."""
        self.looptop.open_waits()
