"""The base of screens with one table: sorting once a second, filtering, and going back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from monitor.store.column import by_key
from monitor.tui.base.paint import Line, Part
from monitor.tui.rows.base import Rows
from monitor.tui.screens.base import LiveScreen
from monitor.tui.widgets.filter_bar import FilterBar, FilterInput
from monitor.tui.widgets.lines import Lines
from monitor.tui.widgets.live_table import LiveTable

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from monitor.store.store import Store

ARRANGE_EVERY = 1.0
HOLD_AFTER_MOVE = 2.0


def session_id(store: Store) -> str | None:
    """The id of the session that a store shows."""
    return store.session.id if store.session is not None else None


class TableScreen(LiveScreen):
    """A table, painted at every tick and sorted once a second, but not while the cursor moves."""

    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "table")
    PLACEHOLDER = "all of these words"

    def __init__(self) -> None:
        super().__init__()
        self.rows: Rows[Any] = self.first_rows()
        self._arranged_at = float("-inf")
        self._arranged_revision = -1
        self._moved_at = float("-inf")
        self._due = True
        self._arranged_session: object = None
        self._row_height = 0

    def compose_body(self) -> ComposeResult:
        """Builds the table, the full text of the selected row if needed, and the filter."""
        yield LiveTable(self.rows, self.looptop.palette, id="table")
        yield Lines(self.looptop.palette, id="row")
        yield FilterBar(self.PLACEHOLDER)

    def first_rows(self) -> Rows[Any]:
        """The rows shown first."""
        raise NotImplementedError

    @property
    def table(self) -> LiveTable:
        """The table of this screen."""
        return self.query_one("#table", LiveTable)

    @property
    def filter_bar(self) -> FilterBar:
        """The filter bar below the table."""
        return self.query_one(FilterBar)

    def on_mount(self) -> None:
        """Give the table the keyboard focus."""
        self.table.focus()

    def update_body(self) -> None:
        """Sorts if due, and repaints what changed."""
        table = self.table
        if self._time_to_arrange():
            self.rearrange()
        else:
            table.sync()
        self._update_row()

    def whole_row(self, cells: int) -> list[Line]:  # noqa: ARG002 - what subclasses look at
        """The full text of the selected row, for tables whose columns cut it."""
        return []

    def _update_row(self) -> None:
        shown = self.whole_row(self.size.width)
        below = self.query_one("#row", Lines)
        below.show([one.parts for one in shown])
        if len(shown) != self._row_height:
            self._row_height = below.styles.height = len(shown)
            below.display = bool(shown)

    def _time_to_arrange(self) -> bool:
        if self._due or self.store is not self.rows.store or session_id(self.store) != self._arranged_session:
            return True
        app = self.looptop
        if self.store.revision == self._arranged_revision:
            return False
        if app.paused:  # a requested reply has arrived
            return True
        if not self.rows.rows:
            return True
        now = app.clock()
        return now - self._arranged_at >= ARRANGE_EVERY and now - self._moved_at >= HOLD_AFTER_MOVE

    def rearrange(self) -> None:
        """Selects and sorts the rows now."""
        self._due = False
        self.rows.arrange(self.store)
        self._arranged_at = self.looptop.clock()
        self._arranged_revision, self._arranged_session = self.store.revision, session_id(self.store)
        self.table.empty = self.empty_text()
        self.table.rows_moved()
        self.show_match_count()

    def forget_order(self) -> None:
        """Sorts at the next repaint, since another moment has other rows."""
        self._due = True

    def rearrange_soon(self) -> None:
        """Sorts with the next tick, even if that is not due yet."""
        self._due = True
        self.looptop.update_soon()

    def apply_filter(self, text: str) -> None:
        """Passes the filter to the rows."""
        raise NotImplementedError

    def clear_filter(self) -> None:
        """Empty the filter and show all rows."""
        self.filter_bar.clear()
        self.apply_filter("")

    def show_match_count(self, error: str = "") -> None:
        """Shows the number of rows beside the filter."""
        self.filter_bar.say(f"{len(self.rows)} found", error)

    def empty_text(self) -> str:
        """The text of an empty table."""
        return ""

    def order(self) -> tuple[Part, ...]:
        """The sort column and direction."""
        column = by_key(tuple(self.rows.columns), self.rows.sort_key)
        title = column.title if column is not None else ""
        return (("by ", "dim"), (title, "accent"), (" ▼ " if self.rows.descending else " ▲ ", "accent"))

    def hint_scopes(self) -> tuple[str, ...]:
        """Only the keys of the filter while typing in it."""
        return ("filter",) if isinstance(self.focused, FilterInput) else self.scopes

    # Actions

    def on_live_table_sort_wanted(self, message: LiveTable.SortWanted) -> None:
        """Sorts by another column, or reverses the order, and shows the top."""
        self.rows.sort_by(message.column, message.turn)
        self.rearrange()
        self.update_view()

    def on_live_table_cursor_moved(self) -> None:
        """Holds the order for a while, so that rows do not move under the cursor."""
        self._moved_at = self.looptop.clock()
        self._update_row()

    def action_sideways(self, step: int) -> None:
        """Sorts by the next or previous column."""
        self.table.action_sort_by(step)

    def action_filter(self) -> None:
        """Open the filter bar."""
        self.filter_bar.open()
        self.update_view()

    def on_filter_bar_changed(self, message: FilterBar.Changed) -> None:
        """Parses the filter at once, to know the last valid one; the rows follow with the next tick."""
        self.apply_filter(message.text)
        self.rearrange_soon()

    def on_filter_bar_closed(self, message: FilterBar.Closed) -> None:
        """Returns to the table."""
        if not message.keep or not self.filter_bar.text:
            self.clear_filter()
        self.table.focus()
        self.rearrange_soon()

    @property
    def can_go_back(self) -> bool:
        """Also true with a filter, which Esc clears."""
        return self._filtered or super().can_go_back

    @property
    def _filtered(self) -> bool:
        return bool(self.filter_bar.text) or self.filter_bar.has_class("-shown")

    def action_back(self) -> None:
        """Clears the filter, or closes the page."""
        if self._filtered:
            self.clear_filter()
            self.table.focus()
            self.rearrange_soon()
        else:
            super().action_back()
