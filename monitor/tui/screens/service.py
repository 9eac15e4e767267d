"""The Service screen: all workers of a service, and what is in all of them. Enter goes into one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from textual.containers import Vertical
from textual.widgets import Static

from monitor import formatting as fmt
from monitor.errors import UsageError
from monitor.fleet.service import Service, total
from monitor.tui.base.keys import bindings, by_id, hints
from monitor.tui.base.paint import Part, crop, spread
from monitor.tui.rows.service import EndedOfAll, FindingsOfAll, SlowOfAll, TasksOfAll, WorkerRows
from monitor.tui.screens.base import SMALLEST, WholeScreen
from monitor.tui.widgets.filter_bar import FilterBar, FilterInput
from monitor.tui.widgets.lines import Lines
from monitor.tui.widgets.live_table import LiveTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual import events
    from textual.app import ComposeResult

    from monitor.tui.base.theme import Palette

ARRANGE_EVERY = 1.0
HOLD_AFTER_MOVE = 2.0
VIEWS = (("service", "Service"), ("tasks", "Tasks"), ("slow", "Slow"), ("ended", "Ended"), ("findings", "Findings"))
EMPTY = {
    "service": "No worker is there.\nOne that starts is joined within a second.",
    "tasks": "No tasks.",
    "slow": "No slow callback so far.",
    "ended": "No task has ended so far.",
    "findings": "No known problem pattern detected.",
}


class Watcher(Protocol):
    """The app of the Service screen."""

    service: Service
    message: tuple[str, str] | None
    clock: Callable[[], float]

    @property
    def palette(self) -> Palette:
        """The colours to draw with."""

    def choose(self, slot: int) -> None:
        """Open the dashboard of a worker."""


class ServiceScreen(WholeScreen):
    """A table of workers with a total below, and four tables of what is in all of them."""

    SCOPES: ClassVar[tuple[str, ...]] = ("service", "table")
    BINDINGS: ClassVar[list[Any]] = bindings("service")
    DEFAULT_CSS = """
    ServiceScreen #title, ServiceScreen #said, ServiceScreen #total { height: 1; width: 100%; background: $background; }
    ServiceScreen.-small #title, ServiceScreen.-small #said, ServiceScreen.-small #total { display: none; }
    """

    def __init__(self, service: Service, slot: int | None = None) -> None:
        """`slot`: the worker to select."""
        super().__init__()
        self.figures = WorkerRows(service)
        self.lists: dict[str, Any] = {
            "service": self.figures,
            "tasks": TasksOfAll(service),
            "slow": SlowOfAll(service),
            "ended": EndedOfAll(service),
            "findings": FindingsOfAll(service),
        }
        self.view = "service"
        self._wanted = slot
        self._arranged_at = self._moved_at = float("-inf")

    @property
    def watcher(self) -> Watcher:
        """The app, as far as the screen knows it."""
        return cast("Watcher", self.app)

    @property
    def rows(self) -> Any:
        """The rows of the visible table."""
        return self.lists[self.view]

    @property
    def table(self) -> LiveTable:
        """The table of the selected tab."""
        return self.query_one("#table", LiveTable)

    @property
    def filter_bar(self) -> FilterBar:
        """The filter of the visible table."""
        return self.query_one(FilterBar)

    def compose(self) -> ComposeResult:
        """Build title, tabs, message, table, total and footer."""
        palette = self.watcher.palette
        yield Lines(palette, id="title")
        yield Lines(palette, id="tabs")
        yield Lines(palette, id="said")
        with Vertical(id="body"):
            yield LiveTable(self.rows, palette, id="table")
            yield FilterBar("words, worker:3; for tasks also state:waiting busy>0.5")
        yield Lines(palette, id="total")
        yield Lines(palette, id="hints")
        yield Static("", id="too-small", markup=False)

    def on_mount(self) -> None:
        """Give the table the keyboard focus."""
        self.table.focus()
        self.call_after_refresh(self.update_view)

    def update_view(self, again: bool = False) -> None:
        """Repaint what changed; sort when it is time to, or `again`."""
        if not self.whole:
            return
        app, cells, now = self.watcher, self.size.width, self.watcher.clock()
        for widget in self.query("Lines, LiveTable"):
            if getattr(widget, "palette", None) is not app.palette:
                widget.repaint(app.palette)  # type: ignore[attr-defined]
        figures = self.figures.refresh()
        table = self.table
        calm = now - self._arranged_at >= ARRANGE_EVERY and now - self._moved_at >= HOLD_AFTER_MOVE
        if again or calm or not len(self.rows):
            self._arranged_at = now
            self.rows.arrange(self.rows.store)
            table.empty = "No row matches.\nEsc clears the filter." if self.filter_bar.text else EMPTY[self.view]
            table.rows_moved()
            if self._wanted is not None and len(self.rows):
                table.go_to(self._wanted)
                self._wanted = None
        else:
            table.sync()
        whole = total(figures)
        silent = whole["workers"] - whole["answering"]
        number = f"{whole['workers']} worker{'' if whole['workers'] == 1 else 's'}"
        left: tuple[Part, ...] = ((f" {app.service.title}", "heading"), (f"  {number}", "text"))
        right: tuple[Part, ...] = ((f"{silent} not answering ", "bad"),) if silent else (("● all answer ", "good"),)
        self.query_one("#title", Lines).show([spread(left, right if figures else (), cells)])
        self._update_tabs(cells)
        said: tuple[Part, ...] = () if app.message is None else ((f" {app.message[0]}", app.message[1]),)
        self.query_one("#said", Lines).show([spread(said, (), cells)])
        self.query_one("#total", Lines).show([crop(_total(whole), cells)])
        self._update_hints(cells)

    def _update_tabs(self, cells: int) -> None:
        parts: list[Part] = []
        actions: list[str | None] = []
        for number, (key, title) in enumerate(VIEWS, 1):
            parts += [(f" {number} {title} ", "tab" if key == self.view else "dim"), (" ", "text")]
            actions += [f"screen.show_view('{key}')", None]
        found = ((f"{len(self.rows)} found ", "dim"),) if self.filter_bar.text else ()
        self.query_one("#tabs", Lines).show([spread(tuple(parts), found, cells)], [actions])

    def _update_hints(self, cells: int) -> None:
        scopes = ("filter",) if isinstance(self.focused, FilterInput) else self.SCOPES
        parts: list[Part] = [(" ", "text")]
        actions: list[str | None] = [None]
        left = cells
        for key in hints(*scopes):
            need = len(key.hint or key.shown) + len(key.label) + 3
            if need <= left:
                left -= need
                parts += [(key.hint or key.shown, "key"), (f" {key.label}  ", "dim")]
                actions += [f"screen.press('{key.id}')"] * 2
        self.query_one("#hints", Lines).show([crop(tuple(parts), cells)], [actions])

    # What the person does

    def action_show_view(self, view: str) -> None:
        """Show another table and clear the filter."""
        if view == self.view:
            return
        self._filter("")
        self.filter_bar.clear()
        self.view = view
        self.table.show(self.rows)
        self.table.focus()
        self.update_view(again=True)

    def action_sideways(self, step: int) -> None:
        """Sort by the next or previous column."""
        self.table.action_sort_by(step)

    def action_filter(self) -> None:
        """Open the filter bar."""
        self.filter_bar.open()
        self.update_view()

    def action_back(self) -> None:
        """Clear the filter and the message, or go back to the table of workers."""
        filtered = bool(self.filter_bar.text) or self.filter_bar.has_class("-shown")
        self.watcher.message = None
        if not filtered and self.view != "service":
            self.action_show_view("service")
            return
        self._filter("")
        self.filter_bar.clear()
        self.table.focus()
        self.update_view(again=True)

    async def action_press(self, key_id: str) -> None:
        """Run the action of a key, for clicks on hints."""
        action = by_id(key_id).action
        target = self.focused if self.focused is not None and "." not in action else self
        if not hasattr(target, f"action_{action.partition('(')[0]}"):
            target = self
        await self.app.run_action(action, target)

    def _filter(self, text: str) -> None:
        try:
            self.rows.filter(text)
        except UsageError as error:  # half typed
            self.filter_bar.say("", error.message)
        else:
            self.filter_bar.say("", "")

    def on_filter_bar_changed(self, message: FilterBar.Changed) -> None:
        """Apply the filter while it is typed."""
        self._filter(message.text)
        self.update_view(again=True)

    def on_filter_bar_closed(self, message: FilterBar.Closed) -> None:
        """Return to the table."""
        if not message.keep or not self.filter_bar.text:
            self.filter_bar.clear()
            self._filter("")
        self.table.focus()
        self.call_after_refresh(self.update_view, True)

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

    def on_resize(self, event: events.Resize) -> None:
        """Show a message if the terminal is too small."""
        small = event.size.width < SMALLEST[0] or event.size.height < SMALLEST[1]
        self.set_class(small, "-small")
        if small:
            self.query_one("#too-small", Static).update(
                f"Too small: {event.size.width}×{event.size.height}.\nlooptop needs {SMALLEST[0]}×{SMALLEST[1]}."
            )
        self.call_after_refresh(self.update_view)


def _total(whole: dict[str, Any]) -> tuple[Part, ...]:
    figures = (
        ("lag", fmt.duration(whole["lag"])),
        ("tasks", fmt.count(whole["tasks"])),
        ("steps", f"{fmt.rate(whole['steps_per_s'])}/s"),
        ("failed", fmt.count(whole["failed"])),
        ("rss", fmt.size(whole["rss"])),
        ("cpu", fmt.percent(whole["cpu"])),
    )
    parts: list[Part] = [(" Total", "strong")]
    for title, text in figures:
        parts += [(f"  {title} ", "dim"), (text, "text")]
    return tuple(parts)
