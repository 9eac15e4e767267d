"""The rows of the table of findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.findings.columns import FINDINGS, label_of
from monitor.findings.model import Finding
from monitor.findings.rules.engine import Findings
from monitor.store.store import Store
from monitor.tui.base.theme import label_style
from monitor.tui.rows.base import SearchedRows

if TYPE_CHECKING:
    from collections.abc import Hashable


class FindingRows(SearchedRows[Finding]):
    """Findings, the worst first; dismissed ones only on request."""

    columns = FINDINGS
    default_sort = "kind"

    def __init__(self, store: Store, findings: Findings) -> None:
        self.findings = findings
        self.dismissed_too = False
        super().__init__(store)

    def choose(self) -> list[Finding]:
        """The engine's order: by weight, the oldest first within a kind."""
        return self.search(self.findings.all() if self.dismissed_too else self.findings.shown())

    def key_of(self, row: Finding) -> Hashable:
        """The number of the finding."""
        return row.id

    def style(self, row: Finding, key: str) -> str:
        """Color a finding by its severity."""
        if row.dismissed or row is not self.findings.found.get((row.observed.kind, row.observed.subject)):
            return "faint"  # one that has gone stays until the next `arrange`
        match key:
            case "kind":
                return row.kind.weight
            case "since":
                return "dim"
            case "site":
                return "accent"
            case "label":
                return label_style(label_of(row, self.store))
            case _:
                return "text"
