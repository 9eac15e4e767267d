"""Findings: what is wrong with the program, said by itself; and one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from monitor.tui.base.keys import bindings
from monitor.tui.base.paint import Line, Part, line
from monitor.tui.pages.finding import finding_page, whole_finding
from monitor.tui.rows.base import Rows
from monitor.tui.rows.findings import FindingRows
from monitor.tui.screens.page import PageScreen
from monitor.tui.screens.table import TableScreen

if TYPE_CHECKING:
    from collections.abc import Hashable

    from monitor.findings.model import Finding
    from monitor.tui.widgets.live_table import LiveTable


class FindingsScreen(TableScreen):
    """The findings that are there now."""

    MODE = "findings"
    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "table", "findings")
    BINDINGS: ClassVar[list[Any]] = bindings("findings")

    def first_rows(self) -> Rows[Any]:
        """The worst first."""
        self.found = FindingRows(self.looptop.store, self.looptop.findings)
        self._revision = -1
        return self.found

    def look_at_body(self) -> None:
        """What came or went is shown at once."""
        revision = self.looptop.findings.revision
        if revision != self._revision and not self.looptop.paused:
            self._revision, self._due = revision, True
        super().look_at_body()

    def apply_filter(self, text: str) -> None:
        """Words."""
        self.found.words = tuple(text.lower().split())

    def about(self) -> tuple[Part, ...]:
        """How many are hidden, and the order."""
        hidden = sum(finding.dismissed for finding in self.looptop.findings.found.values())
        text = f"{hidden} dismissed  " if hidden else ""
        return ((text, "dim"), *super().about())

    def empty_text(self) -> str:
        """That nothing is found is good news; how long it takes is said too."""
        if self.found.words:
            return "No finding with these words.\nEsc clears the filter."
        if self.store.read_only:
            return "Not known: this program is read from outside.\nOnly a probe in it measures what could be wrong."
        return (
            "Nothing is found to be wrong.\n"
            "Blocked loops, deadlocks, leaks and lost exceptions come here by themselves,\n"
            "after a few seconds of watching. looptop config prints what decides."
        )

    def whole_row(self, cells: int) -> list[Line]:
        """All of the text, and the path of the line."""
        finding = self._under_cursor()
        return [] if finding is None else whole_finding(self.store, finding, cells)

    def label(self, key_id: str, label: str) -> str:
        """The keys say what they would do now."""
        if key_id == "dismissed" and self.found.dismissed_too:
            return "Hide"
        if key_id == "dismiss" and (finding := self._under_cursor()) is not None and finding.dismissed:
            return "Restore"
        return super().label(key_id, label)

    def _under_cursor(self) -> Finding | None:
        place = self.found.index(self.table.current) if self.is_mounted else None
        return None if place is None else self.found.rows[place]

    def action_wave_off(self) -> None:
        """Hides the finding under the cursor, or shows it again."""
        finding = self._under_cursor()
        if finding is not None:
            self.looptop.dismiss(finding)
            self.rearrange_soon()

    def action_waved_off(self) -> None:
        """Shows or hides those that were dismissed."""
        self.found.dismissed_too = not self.found.dismissed_too
        self.rearrange_soon()

    def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """Its page."""
        place = self.found.index(message.key)
        if place is not None:
            self.app.push_screen(FindingScreen(self.found.rows[place]))


class FindingScreen(PageScreen):
    """One finding. When it has gone, its last state stays."""

    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "page", "finding")
    BINDINGS: ClassVar[list[Any]] = bindings("finding")

    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self._finding = finding
        self._lines: list[Line] = []
        self._shown: set[Hashable] = set()

    def lines(self, cells: int) -> list[Line]:
        """The page; as it was, while paused."""
        if self.of_another_session:
            return [line(("This finding was of another session; Esc goes back.", "warn"))]
        app, sign = self.looptop, self._finding.observed
        if not app.paused or not self._lines or self.unfolded != self._shown:
            self._shown = set(self.unfolded)
            there = app.findings.found.get((sign.kind, sign.subject)) is self._finding
            self._lines = finding_page(
                self.store, self._finding, app.sources, cells, there=there, unfolded=self.unfolded
            )
        return self._lines

    def label(self, key_id: str, label: str) -> str:
        """The key says what it would do now."""
        if key_id == "page_dismiss" and self._finding.dismissed:
            return "Restore"
        return super().label(key_id, label)

    def action_wave_off(self) -> None:
        """Hides it, or shows it again."""
        self.looptop.dismiss(self._finding)
        self._lines = []
        self.look()
