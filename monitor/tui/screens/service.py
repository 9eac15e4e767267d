"""The Service screen: all workers of a service, and what is in all of them. Enter goes into one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from monitor import formatting as fmt
from monitor.errors import UsageError
from monitor.fleet.service import Service, total
from monitor.tui.base.keys import bindings
from monitor.tui.base.paint import Part, crop
from monitor.tui.rows.service import EndedOfAll, FindingsOfAll, GroupsOfAll, SlowOfAll, TasksOfAll, WorkerRows
from monitor.tui.screens.tabbed import Host, TabbedScreen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from monitor.tui.widgets.live_table import LiveTable

ARRANGE_EVERY = 1.0
HOLD_AFTER_MOVE = 2.0
VIEWS = (
    ("service", "Service"),
    ("tasks", "Tasks"),
    ("slow", "Slow"),
    ("ended", "Ended"),
    ("findings", "Findings"),
    ("groups", "Groups"),
)
EMPTY = {
    "service": "No worker is there.\nOne that starts is joined within a second.",
    "tasks": "No tasks.",
    "slow": "No slow callback so far.",
    "ended": "No task has ended so far.",
    "findings": "No known problem pattern detected.",
    "groups": "No groups: they take the hooks in C.",
}


class Watcher(Host, Protocol):
    """The app of the Service screen."""

    service: Service
    clock: Callable[[], float]

    def choose(self, slot: int) -> None:
        """Open the dashboard of a worker."""


class ServiceScreen(TabbedScreen):
    """A table of workers with a total below, and five tables of what is in all of them."""

    SCOPES: ClassVar[tuple[str, ...]] = ("service", "table")
    BINDINGS: ClassVar[list[Any]] = bindings("service")
    FILTER_HELP: ClassVar[str] = "words, worker:3; for tasks also state:waiting busy>0.5"
    BELOW: ClassVar[str] = "total"

    def __init__(self, service: Service, slot: int | None = None) -> None:
        """`slot`: the worker to select."""
        self.figures = WorkerRows(service)
        lists = {
            "service": self.figures,
            "tasks": TasksOfAll(service),
            "slow": SlowOfAll(service),
            "ended": EndedOfAll(service),
            "findings": FindingsOfAll(service),
            "groups": GroupsOfAll(service),
        }
        super().__init__(lists, "service")
        self._wanted = slot
        self._whole: dict[str, Any] = {}
        self._arranged_at = self._moved_at = float("-inf")

    @property
    def watcher(self) -> Watcher:
        """The app, as far as the screen knows it."""
        return cast("Watcher", self.app)

    def update_table(self, again: bool) -> None:
        """Repaint the table; sort when it is time to, or `again`."""
        now, table = self.watcher.clock(), self.table
        self._whole = total(self.figures.refresh())
        calm = now - self._arranged_at >= ARRANGE_EVERY and now - self._moved_at >= HOLD_AFTER_MOVE
        if again or calm or not len(self.rows):
            self._arranged_at = now
            self.rows.arrange(self.rows.store)
            table.empty = "No row matches.\nEsc clears the filter." if self.filter_bar.text else EMPTY[self.chosen]
            table.rows_moved()
            if self._wanted is not None and len(self.rows):
                table.go_to(self._wanted)
                self._wanted = None
        else:
            table.sync()

    def title_parts(self) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
        """Return the name and size of the service, and whether all workers answer."""
        workers = self._whole["workers"]
        silent = workers - self._whole["answering"]
        number = f"{workers} worker{'' if workers == 1 else 's'}"
        right: tuple[Part, ...] = ((f"{silent} not answering ", "bad"),) if silent else (("● all answer ", "good"),)
        return ((f" {self.watcher.service.title}", "heading"), (f"  {number}", "text")), right if workers else ()

    def below(self, cells: int) -> list[tuple[Part, ...]]:
        """Return the line with the total of all workers."""
        return [crop(_total(self._whole), cells)]

    def tabs(self) -> Iterable[tuple[str, str]]:
        """Return the workers and what is in all of them."""
        return VIEWS

    # What the person does

    def action_sideways(self, step: int) -> None:
        """Sort by the next or previous column."""
        self.table.action_sort_by(step)

    def action_back(self) -> None:
        """Clear the filter and the message, or go back to the table of workers."""
        filtered = bool(self.filter_bar.text) or self.filter_bar.has_class("-shown")
        self.watcher.message = None
        if not filtered and self.chosen != "service":
            self.action_show_tab("service")
            return
        self.clear_filter()
        self.table.focus()
        self.update_view(again=True)

    def filter_rows(self, text: str) -> None:
        """Filter the rows; while a filter is half typed, say what it lacks."""
        try:
            self.rows.filter(text)
        except UsageError as error:
            self.filter_bar.say("", error.message)
        else:
            self.filter_bar.say("", "")

    def on_live_table_sort_wanted(self, message: LiveTable.SortWanted) -> None:
        """Sort by another column, or reverse the order."""
        self.rows.sort_by(message.column, message.turn)
        self.update_view(again=True)

    def on_live_table_cursor_moved(self) -> None:
        """Hold the order for a while, so that rows do not move under the cursor."""
        self._moved_at = self.watcher.clock()

    def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """Go into the worker of the row."""
        place = self.rows.index(message.key)
        if place is not None:
            self.watcher.choose(self.rows.slot(place))


def _total(whole: dict[str, Any]) -> tuple[Part, ...]:
    figures = (
        ("lag", fmt.duration(whole["lag"])),
        ("req", f"{fmt.rate(whole['requests_per_s'])}/s"),
        ("errors", fmt.count(whole["errors"])),
        ("tasks", fmt.count(whole["tasks"])),
        ("rss", fmt.size(whole["rss"])),
        ("cpu", fmt.percent(whole["cpu"])),
        ("steps", f"{fmt.rate(whole['steps_per_s'])}/s"),
        ("failed", fmt.count(whole["failed"])),
    )
    parts: list[Part] = [(" Total", "strong")]
    for title, text in figures:
        parts += [(f"  {title} ", "dim"), (text, "text")]
    return tuple(parts)
