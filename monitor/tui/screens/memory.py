"""The Memory screen: growth by line, live objects by type, and memory of the process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from monitor.tui.base.keys import bindings
from monitor.tui.controllers.tracing import AGAINST, GROUPS, HIDDEN, Tracer
from monitor.tui.pages.memory import MemoryOptions, empty_growth, empty_objects, facts
from monitor.tui.rows.base import Rows
from monitor.tui.rows.memory import MemoryRows, ObjectRows
from monitor.tui.screens.allocation import AllocationScreen
from monitor.tui.screens.table import TableScreen
from monitor.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from monitor.tui.widgets.live_table import LiveTable

FACTS = 5
"""Lines above the table if there is room; on screens with fewer rows than ROOMY only tracing and the snapshot."""

ROOMY = 18


class MemoryScreen(TableScreen):
    """Growth by line, file or traceback; or live objects by type."""

    MODE = "memory"
    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "table", "memory")
    BINDINGS: ClassVar[list[Any]] = bindings("memory")

    def first_rows(self) -> Rows[Any]:
        """Start with growth by line."""
        store = self.looptop.store
        self.tracer = Tracer(self.looptop)
        self.growth, self.types = MemoryRows(store), ObjectRows(store)
        return self.growth

    def compose_body(self) -> ComposeResult:
        """Puts the facts above the table."""
        box = Lines(self.looptop.palette, id="facts")
        box.styles.height = FACTS
        yield box
        yield from super().compose_body()

    def update_body(self) -> None:
        """Takes a snapshot if one is due, and updates the facts."""
        self.tracer.snapshot_if_due()
        shown = facts(self.store, self.options(), self.size.width)
        if self.size.height < ROOMY:
            shown = [shown[0], shown[-1]]
        box = self.query_one("#facts", Lines)
        box.styles.height = len(shown)
        box.show(shown)
        super().update_body()

    @property
    def view(self) -> str:
        """The selected view: `growth` or `objects`."""
        return "objects" if self.rows is self.types else "growth"

    def options(self) -> MemoryOptions:
        """The options that the texts depend on."""
        tracer = self.tracer
        return MemoryOptions(
            self.view,
            tracer.group,
            tracer.against,
            tuple(name for name in HIDDEN if name in tracer.hidden),
            tracer.live,
            tracer.asking,
            self.looptop.player is not None,
        )

    def wants(self) -> dict[str, Any]:
        """Keeps the memory figures coming."""
        return {"window": [], "detail": None, "memory": True}

    def apply_filter(self, text: str) -> None:
        """Filters both tables by words."""
        self.growth.words = self.types.words = tuple(text.lower().split())

    def empty_text(self) -> str:
        """Explains why the table is empty."""
        searching = bool(self.growth.words)
        if self.store.read_only:
            return (
                "Not available: this program is read from outside.\nLooking at its memory needs a probe in the program."
            )
        if self.view == "objects":
            return empty_objects(self.options(), searching)
        return empty_growth(self.store.memory, self.options(), searching)

    def label(self, key_id: str, label: str) -> str:
        """Labels the keys with what they do now."""
        tracing = self.store.memory.tracing
        match key_id:
            case "trace" if tracing is not None and tracing.mine:
                return "Stop"
            case "memory_view":
                return "Growth" if self.view == "objects" else "Objects"
            case "live" if self.tracer.live:
                return "Manual"
            case _:
                return super().label(key_id, label)

    # Actions

    def action_trace(self) -> None:
        """Starts tracing after a confirmation, or stops it."""
        self.tracer.toggle()

    def action_baseline(self) -> None:
        """Take the current memory as the baseline."""
        self.tracer.baseline()

    def action_look_now(self) -> None:
        """Takes a snapshot, or counts the objects."""
        if self.view == "objects":
            self.tracer.objects()
        else:
            self.tracer.take_snapshot()
        self.looptop.update_soon()

    def action_live(self) -> None:
        """Switches between automatic and manual snapshots."""
        self.tracer.live = not self.tracer.live
        self.looptop.update_soon()

    def action_memory_view(self) -> None:
        """Switches between growth and live objects."""
        rows: Rows[Any] = self.growth if self.view == "objects" else self.types
        self.rows = rows
        rows.arrange(self.store)
        self.table.show(rows)
        if self.view == "objects" and self.store.memory.objects is None and "objects" in self._capabilities():
            self.tracer.objects()
        self.rearrange()
        self.update_view()

    def _capabilities(self) -> frozenset[str]:
        session = self.looptop.store.session
        return session.capabilities if session is not None else frozenset()

    def action_group(self) -> None:
        """Switches between lines, files and tracebacks."""
        names = list(GROUPS)
        self.tracer.group = self.growth.group = names[(names.index(self.tracer.group) + 1) % len(names)]
        self._other_question()

    def action_against(self) -> None:
        """Switches between the baseline and the last snapshot."""
        names = list(AGAINST)
        self.tracer.against = names[(names.index(self.tracer.against) + 1) % len(names)]
        self._other_question()

    def action_hide(self, what: str) -> None:
        """Hides or shows lines of one kind."""
        self.tracer.hidden ^= {what}
        self._other_question()

    def _other_question(self) -> None:
        """Takes a snapshot at once, since the shown one does not match the options any more."""
        if self.store.memory.tracing is not None and "memory" in self._capabilities():
            self.tracer.take_snapshot()
        self.rearrange()
        self.update_view()

    def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """Opens the page of the allocation site."""
        if self.view == "growth" and isinstance(message.key, tuple) and message.key:
            self.app.push_screen(AllocationScreen(message.key, self.tracer))
