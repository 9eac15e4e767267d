"""The connect screen: running programs, recordings and samples; Enter opens one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from textual.containers import Vertical
from textual.widgets import Static

from monitor.tui.base.choices import SECTIONS, Choice, ChoiceRows
from monitor.tui.base.keys import SORTING, bindings, by_id, hints
from monitor.tui.base.paint import Part, crop, spread, wrapped
from monitor.tui.screens.base import SMALLEST, WholeScreen
from monitor.tui.widgets.filter_bar import FilterBar, FilterInput
from monitor.tui.widgets.lines import Lines
from monitor.tui.widgets.live_table import LiveTable

if TYPE_CHECKING:
    from collections.abc import Hashable

    from textual import events
    from textual.app import ComposeResult

    from monitor.tui.base.theme import Palette

ABOUT_LINES = 4


class Opener(Protocol):
    """The app of the connect screen, which opens what is chosen."""

    where: str
    message: tuple[str, str] | None

    @property
    def palette(self) -> Palette:
        """The colours to draw with."""

    def choose(self, section: str, choice: Choice) -> None:
        """Opens a choice, or shows why that is not possible."""

    def stop_opening(self) -> bool:
        """Cancels the opening in progress; False if there is none."""

    def forget_message(self) -> None:
        """Removes the message above the list, unless an opening is in progress."""


class ChoiceTable(LiveTable):
    """A table in the order of its source, without sorting."""

    def action_sort_by(self, step: int) -> None:
        """Does nothing: the order is fixed."""

    def action_reverse(self) -> None:
        """Does nothing: the order is fixed."""


class ConnectScreen(WholeScreen):
    """Three lists under tabs, with details of the selected row below."""

    SCOPES: ClassVar[tuple[str, ...]] = ("connect", "table")
    BINDINGS: ClassVar[list[Any]] = bindings("connect")
    DEFAULT_CSS = """
    ConnectScreen #title { height: 1; width: 100%; background: $background; }
    ConnectScreen #said { height: 1; width: 100%; background: $background; }
    ConnectScreen #about { height: 5; width: 100%; background: $background; }
    ConnectScreen.-small #title, ConnectScreen.-small #said, ConnectScreen.-small #about { display: none; }
    """

    def __init__(self, section: str = "programs", key: Hashable = None) -> None:
        """`key`: the row to select as soon as it is listed."""
        super().__init__()
        self._wanted = key
        self.lists = {one.key: ChoiceRows(one) for one in SECTIONS}
        self.chosen = section if section in self.lists else SECTIONS[0].key
        self._loaded: set[str] = set()

    @property
    def connect(self) -> Opener:
        """The app, as far as the screen knows it."""
        return cast("Opener", self.app)

    @property
    def table(self) -> ChoiceTable:
        """The table of the selected tab."""
        return self.query_one("#table", ChoiceTable)

    @property
    def filter_bar(self) -> FilterBar:
        """The filter of the visible list."""
        return self.query_one(FilterBar)

    @property
    def rows(self) -> ChoiceRows:
        """The rows of the visible list."""
        return self.lists[self.chosen]

    def current(self) -> Choice | None:
        """The selected choice, or None."""
        place = self.rows.index(self.table.current)
        return None if place is None else self.rows.rows[place]

    def compose(self) -> ComposeResult:
        """Builds title, tabs, message, list, details and footer."""
        palette = self.connect.palette
        yield Lines(palette, id="title")
        yield Lines(palette, id="tabs")
        yield Lines(palette, id="said")
        with Vertical(id="body"):
            yield ChoiceTable(self.rows, palette, id="table")
            yield FilterBar("all of these words")
        yield Lines(palette, id="about")
        yield Lines(palette, id="hints")
        yield Static("", id="too-small", markup=False)

    def on_mount(self) -> None:
        """Give the list the keyboard focus."""
        self.table.focus()
        self.call_after_refresh(self.update_view)

    # What is told

    def take(self, section: str, choices: list[Choice]) -> None:
        """Show `choices` in the list of `section`."""
        self._loaded.add(section)
        rows = self.lists[section]
        if list(rows.all) == choices:
            return
        rows.all = choices
        rows.arrange()
        if section == self.chosen and self.whole:
            self.table.rows_moved()
            self._place_cursor()
        self.update_view()

    def _place_cursor(self) -> None:
        """Selects the row opened before, or else the first one that can be opened."""
        if self._wanted is None and self.table.cursor_key is None:
            self._wanted = next((row.key for row in self.rows.rows if not row.why_not), None)
        if self._wanted is not None and self.rows.rows:
            self.table.go_to(self._wanted)
            self._wanted = None

    def update_view(self) -> None:
        """Repaints everything around the list."""
        if not self.whole:
            return
        app, cells = self.connect, self.size.width
        for widget in self.query("Lines, LiveTable"):
            if getattr(widget, "palette", None) is not app.palette:
                widget.repaint(app.palette)  # type: ignore[attr-defined]
        left: tuple[Part, ...] = ((" looptop", "heading"), ("  top for the event loop", "dim"))
        self.query_one("#title", Lines).show([spread(left, ((f"{app.where} ", "dim"),), cells)])
        self._update_tabs(cells)
        said: tuple[Part, ...] = () if app.message is None else ((f" {app.message[0]}", app.message[1]),)
        self.query_one("#said", Lines).show([spread(said, (), cells)])
        self.table.empty = self._empty_text()
        self.table.sync()
        self.query_one("#about", Lines).show(self._about(cells))
        self._update_hints(cells)

    def _empty_text(self) -> str:
        if self.chosen not in self._loaded:
            return "Looking …"
        if self.rows.words:
            return "No row with these words.\nEsc clears the filter."
        return self.rows.section.empty

    def _update_tabs(self, cells: int) -> None:
        parts: list[Part] = []
        actions: list[str | None] = []
        for number, one in enumerate(SECTIONS, 1):
            count = f" {len(self.lists[one.key].all)}" if one.key in self._loaded else ""
            parts += [
                (f" {number} {one.title}{count} ", "tab" if one.key == self.chosen else "dim"),
                (" ", "text"),
            ]
            actions += [f"screen.show_section('{one.key}')", None]
        found = ((f"{len(self.rows)} found ", "dim"),) if self.rows.words else ()
        self.query_one("#tabs", Lines).show([spread(tuple(parts), found, cells)], [actions])

    def _about(self, cells: int) -> list[tuple[Part, ...]]:
        """Details of the selected row, and what Enter does."""
        choice = self.current()
        rule: tuple[Part, ...] = (("─" * cells, "faint"),)
        if choice is None:
            return [rule]
        last: tuple[Part, ...] = ((" ✗ ", "bad"), (choice.why_not, "warn")) if choice.why_not else ()
        if not choice.why_not and choice.hint:
            last = ((" Enter ", "key"), (choice.hint, "text"))
        below = wrapped(last, cells, 2)
        room = ABOUT_LINES - len(below)
        told = [
            wrapped(((f" {text}", "dim"),), cells, 2 if number == 0 else 1) for number, text in enumerate(choice.about)
        ]
        lines = [line for group in told for line in group][:room]
        return [rule, *lines, *below]

    def _update_hints(self, cells: int) -> None:
        scopes = ("filter",) if isinstance(self.focused, FilterInput) else self.SCOPES
        parts: list[Part] = [(" ", "text")]
        actions: list[str | None] = [None]
        left = cells
        shown = []
        for key in hints(*scopes):
            need = len(key.hint or key.shown) + len(key.label) + 3
            if key.id not in SORTING and need <= left:
                left -= need
                shown.append(key)
        shown.sort(key=lambda key: key.id in ("connect_help", "connect_quit"))
        for key in shown:
            parts += [(key.hint or key.shown, "key"), (f" {key.label}  ", "dim")]
            actions += [f"screen.press('{key.id}')"] * 2
        self.query_one("#hints", Lines).show([crop(tuple(parts), cells)], [actions])

    # What the person does

    def action_show_section(self, section: str) -> None:
        """Shows another list and clears the filter."""
        if section == self.chosen:
            return
        self.filter_bar.clear()
        self._filter("")
        self.chosen = section
        self.connect.message = None
        self.table.show(self.rows)
        self._place_cursor()
        self.table.focus()
        self.update_view()

    def action_sideways(self, step: int) -> None:
        """Shows the next or previous list."""
        keys = [one.key for one in SECTIONS]
        self.action_show_section(keys[(keys.index(self.chosen) + step) % len(keys)])

    def action_filter(self) -> None:
        """Open the filter bar."""
        self.filter_bar.open()
        self.update_view()

    def action_back(self) -> None:
        """Cancels an opening, or clears the message and the filter."""
        if self.connect.stop_opening():
            return
        self.connect.message = None
        self.filter_bar.clear()
        self._filter("")
        self.table.focus()
        self.update_view()

    async def action_press(self, key_id: str) -> None:
        """Runs the action of a key, for clicks on hints and the command palette."""
        action = by_id(key_id).action
        target = self.focused if self.focused is not None and "." not in action else self
        if not hasattr(target, f"action_{action.partition('(')[0]}"):
            target = self
        await self.app.run_action(action, target)

    def _filter(self, text: str) -> None:
        self.rows.words = tuple(text.lower().split())
        self.rows.arrange()
        self.table.rows_moved()

    def on_filter_bar_changed(self, message: FilterBar.Changed) -> None:
        """Filters the list while typing."""
        self._filter(message.text)
        self.update_view()

    def on_filter_bar_closed(self, message: FilterBar.Closed) -> None:
        """Returns to the list."""
        if not message.keep or not self.filter_bar.text:
            self.filter_bar.clear()
            self._filter("")
        self.table.focus()
        self.call_after_refresh(self.update_view)

    def on_live_table_cursor_moved(self) -> None:
        """Clears the message about the previous row."""
        self.connect.forget_message()
        self.update_view()

    def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """Opens the row, or shows why it cannot be opened."""
        choice = self.current()
        if choice is not None and choice.key == message.key:
            self.connect.choose(self.chosen, choice)

    def on_resize(self, event: events.Resize) -> None:
        """Shows a message if the terminal is too small."""
        small = event.size.width < SMALLEST[0] or event.size.height < SMALLEST[1]
        self.set_class(small, "-small")
        if small:
            self.query_one("#too-small", Static).update(
                f"Too small: {event.size.width}×{event.size.height}.\nlooptop needs {SMALLEST[0]}×{SMALLEST[1]}."
            )
        self.call_after_refresh(self.update_view)
