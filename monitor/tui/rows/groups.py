"""The rows of the Groups screen: tasks by coroutine and label, or by creation site."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.store.group_columns import LABEL_GROUPS
from monitor.store.label_groups import LabelGroup
from monitor.tui.base.theme import label_style
from monitor.tui.rows.base import SearchedRows

if TYPE_CHECKING:
    from collections.abc import Hashable


class GroupRows(SearchedRows[LabelGroup]):
    """Groups in which something happened."""

    columns = LABEL_GROUPS
    default_sort = "total"
    by_site = False

    def choose(self) -> list[LabelGroup]:
        """All groups with a task."""
        groups = self.store.label_groups
        return self.search([group for group in (groups.by_site if self.by_site else groups).values() if group.started])

    def now(self, row: LabelGroup) -> LabelGroup:
        """The group as it is now."""
        return self.store.label_groups.find(row.number) or row

    def key_of(self, row: LabelGroup) -> Hashable:
        """The number of the group."""
        return row.number

    def style(self, row: LabelGroup, key: str) -> str:
        """Highlights labels and failures."""
        match key:
            case "group":
                return label_style(row.label)
            case "failed":
                return "bad" if row.failed else "dim"
            case "errors":
                return "bad" if row.errors else "dim"
            case "time":
                return "bar"
            case _:
                return "text"
