"""The base of the screens outside of one program: tabs of tables with a filter, and a part below that is theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from textual.containers import Vertical
from textual.widgets import Static

from monitor.tui.base.keys import by_id, hints
from monitor.tui.base.paint import Part, crop, spread
from monitor.tui.screens.base import SMALLEST, WholeScreen
from monitor.tui.widgets.filter_bar import FilterBar, FilterInput
from monitor.tui.widgets.lines import Lines
from monitor.tui.widgets.live_table import LiveTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual import events
    from textual.app import ComposeResult
    from textual.widget import Widget

    from monitor.tui.base.keys import Key
    from monitor.tui.base.theme import Palette


class Host(Protocol):
    """The app of such a screen."""

    message: tuple[str, str] | None  # text and style

    @property
    def palette(self) -> Palette:
        """The colours to draw with."""


class TabbedScreen(WholeScreen):
    """Title, tabs, message, the table of the selected tab with its filter, the part below, and the footer."""

    SCOPES: ClassVar[tuple[str, ...]]
    TABLE: ClassVar[type[LiveTable]] = LiveTable
    FILTER_HELP: ClassVar[str]
    BELOW: ClassVar[str]  # id of the part below
    LAST_HINTS: ClassVar[tuple[str, ...]] = ()  # ids of the keys at the end of the footer
    DEFAULT_CSS = """
    TabbedScreen #title, TabbedScreen #message, TabbedScreen .below { height: 1; width: 100%; background: $background; }
    TabbedScreen.-small #title, TabbedScreen.-small #message, TabbedScreen.-small .below { display: none; }
    """

    def __init__(self, lists: dict[str, Any], chosen: str) -> None:
        """`lists`: the rows of each tab, by its key."""
        super().__init__()
        self.lists = lists
        self.chosen = chosen

    @property
    def rows(self) -> Any:
        """The rows of the selected tab."""
        return self.lists[self.chosen]

    @property
    def table(self) -> LiveTable:
        """The table of the selected tab."""
        return self.query_one("#table", LiveTable)

    @property
    def filter_bar(self) -> FilterBar:
        """The filter of the selected tab."""
        return self.query_one(FilterBar)

    def compose(self) -> ComposeResult:
        """Build title, tabs, message, table, the part below and footer."""
        palette = self._host.palette
        yield Lines(palette, id="title")
        yield Lines(palette, id="tabs")
        yield Lines(palette, id="message")
        with Vertical(id="body"):
            yield self.TABLE(self.rows, palette, id="table")
            yield from self.compose_beside()
            yield FilterBar(self.FILTER_HELP)
        yield Lines(palette, id=self.BELOW).add_class("below")
        yield from self.compose_below()
        yield Lines(palette, id="hints")
        yield Static("", id="too-small", markup=False)

    def compose_beside(self) -> ComposeResult:
        """Build what may take the place of the table."""
        yield from ()

    def compose_below(self) -> ComposeResult:
        """Build what is between the part below and the footer."""
        yield from ()

    def main_widget(self) -> Widget:
        """What gets the keys: the table."""
        return self.table

    def on_mount(self) -> None:
        """Give the table the keyboard focus."""
        self.table.focus()
        self.call_after_refresh(self.update_view)

    # What is shown

    def update_view(self, again: bool = False) -> None:
        """Repaint what changed. `again`: sort even if it is not yet time to."""
        if not self.whole:
            return
        app, cells = self._host, self.size.width
        for widget in self.query("Lines, LiveTable, Timeline"):
            if getattr(widget, "palette", None) is not app.palette:
                widget.repaint(app.palette)  # type: ignore[attr-defined]
        self.update_table(again)
        self.query_one("#title", Lines).show([spread(*self.title_parts(), cells)])
        self._update_tabs(cells)
        message: tuple[Part, ...] = () if app.message is None else ((f" {app.message[0]}", app.message[1]),)
        self.query_one("#message", Lines).show([spread(message, (), cells)])
        self.query_one(f"#{self.BELOW}", Lines).show(self.below(cells))
        self._update_hints(cells)

    def update_table(self, again: bool) -> None:
        """Repaint the visible table; sort it first if asked `again`."""
        raise NotImplementedError

    def title_parts(self) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
        """The first line: its left and its right."""
        raise NotImplementedError

    def tabs(self) -> Iterable[tuple[str, str]]:
        """Key and title of each tab."""
        raise NotImplementedError

    def below(self, cells: int) -> Sequence[tuple[Part, ...]]:
        """The lines of the part below."""
        raise NotImplementedError

    def hint_keys(self) -> Iterable[Key]:
        """The keys of the table that the footer shows, the most important first."""
        return hints(*self.SCOPES)

    def label(self, key: Key) -> str:
        """What a key of the footer does now."""
        return key.label

    def filter_rows(self, text: str) -> None:
        """Apply a filter to the rows of the selected tab."""
        raise NotImplementedError

    def tab_changed(self) -> None:
        """Called when the table of another tab is shown, before it is painted."""

    def _update_tabs(self, cells: int) -> None:
        parts: list[Part] = []
        actions: list[str | None] = []
        texts = {key: f" {number} {title} " for number, (key, title) in enumerate(self.tabs(), 1)}
        gap = " " if sum(map(len, texts.values())) + len(texts) <= cells else ""
        for key, text in texts.items():
            parts += [(text, "tab" if key == self.chosen else "dim"), (gap, "text")]
            actions += [f"screen.show_tab('{key}')", None]
        found = ((f"{len(self.rows)} found ", "dim"),) if self._counts_rows else ()
        self.query_one("#tabs", Lines).show([spread(tuple(parts), found, cells)], [actions])

    @property
    def _counts_rows(self) -> bool:
        return bool(self.filter_bar.text.strip()) and self.main_widget() is self.table

    def _update_hints(self, cells: int) -> None:
        parts: list[Part] = [(" ", "text")]
        actions: list[str | None] = [None]
        left = cells
        shown = []
        for key in hints("filter") if isinstance(self.focused, FilterInput) else self.hint_keys():
            need = len(key.hint or key.shown) + len(self.label(key)) + 3
            if need <= left:
                left -= need
                shown.append(key)
        shown.sort(key=lambda key: key.id in self.LAST_HINTS)
        for key in shown:
            parts += [(key.hint or key.shown, "key"), (f" {self.label(key)}  ", "dim")]
            actions += [f"screen.press('{key.id}')"] * 2
        self.query_one("#hints", Lines).show([crop(tuple(parts), cells)], [actions])

    # What the person does

    def clear_filter(self) -> None:
        """Show all rows again."""
        self.filter_bar.clear()
        self.filter_rows("")

    def action_show_tab(self, key: str) -> None:
        """Show another table and clear the filter."""
        if key == self.chosen:
            return
        self.clear_filter()
        self.chosen = key
        self.table.show(self.rows)
        self.tab_changed()
        self.table.focus()
        self.update_view(again=True)

    def action_filter(self) -> None:
        """Open the filter bar."""
        self.filter_bar.open()
        self.update_view()

    async def action_press(self, key_id: str) -> None:
        """Run the action of a key, for clicks on hints and the command palette."""
        action = by_id(key_id).action
        target = self.focused if self.focused is not None and "." not in action else self
        if not hasattr(target, f"action_{action.partition('(')[0]}"):
            target = self
        await self.app.run_action(action, target)

    def on_filter_bar_changed(self, message: FilterBar.Changed) -> None:
        """Apply the filter while it is typed."""
        self.filter_rows(message.text)
        self.update_view(again=True)

    def on_filter_bar_closed(self, message: FilterBar.Closed) -> None:
        """Return to the table."""
        if not message.keep or not self.filter_bar.text:
            self.clear_filter()
        self.main_widget().focus()
        self.call_after_refresh(self.update_view, True)

    def on_resize(self, event: events.Resize) -> None:
        """Show a message if the terminal is too small."""
        small = event.size.width < SMALLEST[0] or event.size.height < SMALLEST[1]
        self.set_class(small, "-small")
        if small:
            self.query_one("#too-small", Static).update(
                f"Too small: {event.size.width}×{event.size.height}.\nlooptop needs {SMALLEST[0]}×{SMALLEST[1]}."
            )
        self.call_after_refresh(self.update_view)

    @property
    def _host(self) -> Host:
        return cast("Host", self.app)
