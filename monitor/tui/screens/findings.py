"""The Findings screen, and the page of one finding."""

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
    """The current findings, the worst first."""

    MODE = "findings"
    SCOPES: ClassVar[tuple[str, ...]] = ("app", "views", "table", "findings")
    BINDINGS: ClassVar[list[Any]] = bindings("findings")

    def first_rows(self) -> Rows[Any]:
        """Start with the worst finding on top."""
        self.found = FindingRows(self.looptop.store, self.looptop.findings)
        self._revision = -1
        return self.found

    def update_body(self) -> None:
        """Shows new findings at once instead of with the next sort."""
        revision = self.looptop.findings.revision
        if revision != self._revision and not self.looptop.paused:
            self._revision, self._due = revision, True
        super().update_body()

    def apply_filter(self, text: str) -> None:
        """Show the findings that contain all words of `text`."""
        self.found.words = tuple(text.lower().split())

    def about(self) -> tuple[Part, ...]:
        """How many are dismissed, and the order."""
        hidden = sum(finding.dismissed for finding in self.looptop.findings.found.values())
        text = f"{hidden} dismissed  " if hidden else ""
        return (self.since(), (text, "dim"), *super().about())

    def empty_text(self) -> str:
        """Explains why there are no findings."""
        if self.found.words:
            return "No finding with these words.\nEsc clears the filter."
        if self.store.read_only:
            return "Not available: this program is read from outside.\nFindings need a probe in the program."
        not_judged = self.looptop.findings.not_judged
        return (
            "No known problem pattern detected.\n"
            "Blocked loops, deadlocks, leaks and lost exceptions appear here\n"
            "after a few seconds. looptop config prints the thresholds."
            + (f"\n{not_judged[:1].upper()}{not_judged[1:]}." if not_judged else "")
        )

    def whole_row(self, cells: int) -> list[Line]:
        """The full text and the path of the selected finding."""
        finding = self._under_cursor()
        return [] if finding is None else whole_finding(self.store, finding, cells)

    def label(self, key_id: str, label: str) -> str:
        """Labels the keys with what they do to the selected finding."""
        if key_id == "dismissed" and self.found.dismissed_too:
            return "Hide"
        if key_id == "dismiss" and (finding := self._under_cursor()) is not None and finding.dismissed:
            return "Restore"
        return super().label(key_id, label)

    def _under_cursor(self) -> Finding | None:
        place = self.found.index(self.table.current) if self.is_mounted else None
        return None if place is None else self.found.rows[place]

    def action_wave_off(self) -> None:
        """Dismisses the selected finding, or restores it."""
        finding = self._under_cursor()
        if finding is not None:
            self.looptop.dismiss(finding)
            self.rearrange_soon()

    def action_waved_off(self) -> None:
        """Shows or hides dismissed findings."""
        self.found.dismissed_too = not self.found.dismissed_too
        self.rearrange_soon()

    def on_live_table_opened(self, message: LiveTable.Opened) -> None:
        """Opens the page of the finding."""
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
        """Builds the page; during a pause it stays as it was."""
        if self.of_another_session:
            return [line(("This finding belongs to another session; Esc goes back.", "warn"))]
        app, sign = self.looptop, self._finding.observed
        if not app.paused or not self._lines or self.unfolded != self._shown:
            self._shown = set(self.unfolded)
            there = app.findings.found.get((sign.kind, sign.subject)) is self._finding
            self._lines = finding_page(
                self.store, self._finding, app.sources, cells, there=there, unfolded=self.unfolded
            )
        return self._lines

    def label(self, key_id: str, label: str) -> str:
        """Labels the key with what it does."""
        if key_id == "page_dismiss" and self._finding.dismissed:
            return "Restore"
        return super().label(key_id, label)

    def action_wave_off(self) -> None:
        """Dismisses this finding, or restores it."""
        self.looptop.dismiss(self._finding)
        self._lines = []
        self.update_view()
