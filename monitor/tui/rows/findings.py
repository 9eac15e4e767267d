"""What the table of findings shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.findings.columns import FINDINGS
from monitor.findings.model import Finding
from monitor.findings.rules.engine import Findings
from monitor.store.store import Store
from monitor.tui.rows.base import SearchedRows

if TYPE_CHECKING:
    from collections.abc import Hashable


class FindingRows(SearchedRows[Finding]):
    """The findings, the worst first; those that were dismissed when they are asked for."""

    columns = FINDINGS
    default_sort = "kind"

    def __init__(self, store: Store, findings: Findings) -> None:
        self.findings = findings
        self.dismissed_too = False
        super().__init__(store)

    def choose(self) -> list[Finding]:
        """What is shown, in the engine's order: within a kind the oldest first."""
        return self.search(self.findings.all() if self.dismissed_too else self.findings.shown())

    def key_of(self, row: Finding) -> Hashable:
        """A finding is its number."""
        return row.id

    def style(self, row: Finding, key: str) -> str:
        """By weight."""
        if row.dismissed or row is not self.findings.found.get((row.observed.kind, row.observed.subject)):
            return "faint"  # one that went stays until the rows are arranged again
        match key:
            case "kind":
                return row.kind.weight
            case "since":
                return "dim"
            case "site":
                return "accent"
            case _:
                return "text"
