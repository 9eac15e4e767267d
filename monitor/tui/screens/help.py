"""The help: all keys, columns and signs, from the tables that the dashboard itself uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen

from monitor.findings.columns import FINDINGS
from monitor.store.column import Column
from monitor.store.columns import ENDED, GLYPHS, GROUPS, SLOW, TASKS
from monitor.store.memory_columns import OBJECTS, PROFILES
from monitor.tui.base.keys import APART, SCOPES, SORTING, of
from monitor.tui.base.paint import BLANK, Line, line, wrapped
from monitor.tui.base.theme import STATE_STYLES, Palette
from monitor.tui.rows.memory import SHOWN as MEMORY_SHOWN
from monitor.tui.widgets.page import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

MOST_LINES = 6
"""Most lines of one text in the narrowest window."""

STATES = {
    "running": "its code is running",
    "scheduled": "ready, waiting for its turn",
    "waiting": "suspended until what it waits on is ready",
    "done": "ended and returned",
    "cancelled": "ended by CancelledError",
    "failed": "ended by another exception",
    "ended": "ended; the outcome is not visible from outside (read-only)",
    "unhandled": "reported to the loop's exception handler",
}
SIGNS = (
    ("≥ 12ms", "a lower bound: the task is older than the measurement"),
    ("–", "not known"),
    ("p90 ≈", "estimated from a histogram of powers of two"),
    ("▌ ›", "the cursor; a line that Enter opens"),
    ("▾ ▸", "a task with children, shown and folded"),
    ("▼ ▲", "sorted by this column, descending or ascending"),
)
FILTERS = (
    ("worker", "in the name, coroutine or creation site"),
    ("-worker", "not in it"),
    ("state:waiting", "field contains; also name: coro: creation_site: waiting_on: parent: loop:"),
    ("name:worker-*", "with * and ?"),
    ("busy>0.5  age<2m", "figures, with us ms s m h % k; also share scheduled idle steps max_step id"),
)

TABLES: tuple[tuple[str, Sequence[Column[Any]]], ...] = (
    ("Tasks", TASKS),
    ("Groups", GROUPS),
    ("Slow callbacks", SLOW),
    ("Ended", ENDED),
    ("Memory", MEMORY_SHOWN),
    ("Live objects", OBJECTS),
    ("Profile", PROFILES),
    ("Findings", FINDINGS),
)


def help_lines(scopes: tuple[str, ...], only: bool = False) -> list[Line]:
    """The keys of the current screen first, then others, columns and signs. `only`: nothing but the first."""
    lines: list[Line] = []
    others = () if only else [scope for scope in SCOPES if scope not in (*scopes, *APART)]
    for scope in [*scopes, *others]:
        lines.append(line((SCOPES[scope], "heading")))
        lines += [
            line((f"  {key.shown:<8}", "key"), (key.help, "text"))
            for key in of(scope)
            if not (only and key.id in SORTING)
        ]
        lines.append(BLANK)
    if only:
        return lines[:-1]
    lines.append(line(("Task filters: all words must match", "heading")))
    lines += [line((f"  {text:<18}", "key"), (meaning, "text")) for text, meaning in FILTERS]
    lines += [BLANK, line(("States", "heading"))]
    lines += [
        line((f"  {GLYPHS[state]} {state:<12}", STATE_STYLES[state]), (meaning, "text"))
        for state, meaning in STATES.items()
    ]
    lines += [BLANK, line(("Signs", "heading"))]
    lines += [line((f"  {sign:<8}", "key"), (meaning, "text")) for sign, meaning in SIGNS]
    for title, columns in TABLES:
        lines += [BLANK, line((f"Columns: {title}", "heading"))]
        lines += [line((f"  {column.title:<12}", "key"), (column.help, "text")) for column in columns]
    return lines


class HelpScreen(ModalScreen[None]):
    """Shows the help in a dialog."""

    BINDINGS: ClassVar[list[Any]] = [Binding("escape,question_mark,q,f1", "dismiss", "Back", show=False)]

    def __init__(self, scopes: tuple[str, ...], palette: Palette, only: bool = False) -> None:
        super().__init__()
        self._lines = help_lines(scopes, only)
        self._palette = palette

    def compose(self) -> ComposeResult:
        """Builds the one page of the help."""
        with Vertical(id="help") as box:
            box.border_title = "Help"
            box.border_subtitle = "Esc back  ↑↓ PgUp PgDn scroll"
            yield Page(self._palette, id="help-page")

    def on_mount(self) -> None:
        """Give the page the keyboard focus."""
        self.query_one(Page).focus()

    def on_resize(self) -> None:
        """Wraps the lines again."""
        self.call_after_refresh(self._show)

    def _show(self) -> None:
        """Wraps lines that are too long."""
        page = self.query_one(Page)
        cells = page.cells_wide
        page.show([line(*parts) for one in self._lines for parts in wrapped(one.parts, cells, MOST_LINES) or [()]])
