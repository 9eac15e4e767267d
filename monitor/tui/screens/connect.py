"""The connect screen: running programs, recordings and samples; Enter opens one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from monitor.tui.base.choices import SECTIONS, Choice, ChoiceRows
from monitor.tui.base.keys import SORTING, bindings, hints
from monitor.tui.base.paint import Part, wrapped
from monitor.tui.screens.tabbed import Host, TabbedScreen
from monitor.tui.widgets.live_table import LiveTable

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from monitor.tui.base.keys import Key

ABOUT_LINES = 4


class Opener(Host, Protocol):
    """The app of the connect screen, which opens what is chosen."""

    where: str

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


class ConnectScreen(TabbedScreen):
    """Three lists under tabs, with details of the selected row below."""

    SCOPES: ClassVar[tuple[str, ...]] = ("connect", "table")
    BINDINGS: ClassVar[list[Any]] = bindings("connect")
    TABLE: ClassVar[type[LiveTable]] = ChoiceTable
    FILTER_HELP: ClassVar[str] = "all of these words"
    BELOW: ClassVar[str] = "about"
    LAST_HINTS: ClassVar[tuple[str, ...]] = ("connect_help", "connect_quit")
    DEFAULT_CSS = "ConnectScreen #about { height: 5; }"

    def __init__(self, section: str = "programs", key: Hashable = None) -> None:
        """`key`: the row to select as soon as it is listed."""
        lists = {one.key: ChoiceRows(one) for one in SECTIONS}
        super().__init__(lists, section if section in lists else SECTIONS[0].key)
        self._wanted = key
        self._loaded: set[str] = set()

    @property
    def connect(self) -> Opener:
        """The app, as far as the screen knows it."""
        return cast("Opener", self.app)

    @property
    def rows(self) -> ChoiceRows:
        """The rows of the selected list."""
        rows: ChoiceRows = self.lists[self.chosen]
        return rows

    def current(self) -> Choice | None:
        """The selected choice, or None."""
        place = self.rows.index(self.table.current)
        return None if place is None else self.rows.rows[place]

    # Contents

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

    def tab_changed(self) -> None:
        """Selects a row, and clears the message about a row of the other list."""
        self.connect.message = None
        self._place_cursor()

    def update_table(self, again: bool) -> None:  # noqa: ARG002 - the order is fixed
        """Repaints the list in its fixed order."""
        self.table.empty = self._empty_text()
        self.table.sync()

    def title_parts(self) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
        """Returns the name of looptop, and where it looks."""
        return ((" looptop", "heading"), ("  top for the event loop", "dim")), ((f"{self.connect.where} ", "dim"),)

    def _empty_text(self) -> str:
        if self.chosen not in self._loaded:
            return "Looking …"
        if self.rows.words:
            return "No row with these words.\nEsc clears the filter."
        return self.rows.section.empty

    def tabs(self) -> Iterable[tuple[str, str]]:
        """Returns the lists with their lengths."""
        for one in SECTIONS:
            count = f" {len(self.lists[one.key].all)}" if one.key in self._loaded else ""
            yield one.key, one.title + count

    def below(self, cells: int) -> list[tuple[Part, ...]]:
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
        paragraphs = [
            wrapped(((f" {text}", "dim"),), cells, 2 if number == 0 else 1) for number, text in enumerate(choice.about)
        ]
        lines = [line for paragraph in paragraphs for line in paragraph][:room]
        return [rule, *lines, *below]

    def hint_keys(self) -> Iterable[Key]:
        """Returns the keys without those that sort."""
        return (key for key in hints(*self.SCOPES) if key.id not in SORTING)

    # What the person does

    def action_sideways(self, step: int) -> None:
        """Shows the next or previous list."""
        keys = [one.key for one in SECTIONS]
        self.action_show_tab(keys[(keys.index(self.chosen) + step) % len(keys)])

    def action_back(self) -> None:
        """Cancels an opening, or clears the message and the filter."""
        if self.connect.stop_opening():
            return
        self.connect.message = None
        self.clear_filter()
        self.table.focus()
        self.update_view()

    def filter_rows(self, text: str) -> None:
        """Keeps rows with all words of a text."""
        self.rows.words = tuple(text.lower().split())
        self.rows.arrange()
        self.table.rows_moved()

    def on_live_table_cursor_moved(self) -> None:
        """Clears the message about the previous row."""
        self.connect.forget_message()
        self.update_view()

    def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """Opens the row, or shows why it cannot be opened."""
        choice = self.current()
        if choice is not None and choice.key == message.key:
            self.connect.choose(self.chosen, choice)
