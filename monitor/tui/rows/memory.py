"""The rows of tables about memory: allocation sites, live objects by type, and profiled functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.protocol.memory_frames import ObjectsRow
from monitor.store.column import Column
from monitor.store.memory import MemoryRow, Profile
from monitor.store.memory_columns import MEMORY, OBJECTS, PROFILES, place
from monitor.tui.rows.base import SearchedRows
from monitor.tui.widgets import spark

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from monitor.store.store import Store
    from monitor.tui.base.paint import Part

TREND_CELLS = 10
MOST_FRAMES = 6
"""Most frames of a traceback in its line of the table."""


def trend(sizes: Sequence[float], cells: int = TREND_CELLS) -> str:
    """Sizes as a sparkline, scaled from the smallest to the largest."""
    shown = sizes[-cells:]
    if len(shown) < 2:
        return ""
    least, most = min(shown), max(shown)
    return spark.line([(size - least) / (most - least) if most > least else 0.0 for size in shown], len(shown))


TREND: Column[MemoryRow] = Column(
    "trend",
    "Trend",
    TREND_CELLS,
    "sizes in the last snapshots, smallest to largest",
    lambda r, s: trend(s.memory.sizes(r.place)),
    right=True,
    priority=2,
)
SHOWN: tuple[Column[MemoryRow], ...] = (*MEMORY[:-1], TREND, MEMORY[-1])


class MemoryRows(SearchedRows[MemoryRow]):
    """The lines, files or tracebacks of the most recent snapshot."""

    columns = SHOWN
    default_sort = "size_diff"

    def __init__(self, store: Store) -> None:
        self.group = "lineno"
        super().__init__(store)

    def choose(self) -> list[MemoryRow]:
        """All rows of the snapshot that match the search."""
        look = self.store.memory.snapshots.get(self.group)
        return self.search(list(look.rows)) if look is not None else []

    def cells(self, index: int, columns: Sequence[Column[Any]]) -> list[Part]:
        """Adds callers to tracebacks, since many share their last line."""
        cells = super().cells(index, columns)
        way = self.rows[index].place
        if self.group != "traceback" or len(way) < 2:
            return cells
        names = " ‹ ".join(place(site, self.store) for site in way[: -MOST_FRAMES - 1 : -1])
        return [(names, cell[1]) if c.key == "site" else cell for c, cell in zip(columns, cells, strict=True)]

    def key_of(self, row: MemoryRow) -> Hashable:
        """The file, line or traceback."""
        return row.place

    def style(self, row: MemoryRow, key: str) -> str:
        """Highlight lines and types that have grown."""
        match key:
            case "size_diff" | "growth":
                figure = row.size_diff if key == "size_diff" else row.growth or 0
                return "warn" if figure > 0 else "good" if figure < 0 else "faint"
            case "count_diff":
                return "text" if row.count_diff else "faint"
            case "site":
                return "strong"
            case "trend":
                return "bar"
            case _:
                return "dim"


class ObjectRows(SearchedRows[ObjectsRow]):
    """Live objects by type."""

    columns = OBJECTS
    default_sort = "count_diff"

    def choose(self) -> list[ObjectsRow]:
        """All types of the last count that match the search."""
        objects = self.store.memory.objects
        return self.search(list(objects.rows)) if objects is not None else []

    def order(self, rows: list[ObjectsRow]) -> list[ObjectsRow]:
        """Sorts types with equal change by their count."""
        rows.sort(key=lambda row: row.count, reverse=True)
        return super().order(rows)

    def key_of(self, row: ObjectsRow) -> Hashable:
        """The name of the type."""
        return row.name

    def style(self, row: ObjectsRow, key: str) -> str:
        """Highlight lines and types that have grown."""
        match key:
            case "count_diff":
                return "warn" if row.count_diff > 0 else "good" if row.count_diff < 0 else "faint"
            case "type":
                return "strong"
            case _:
                return "text"


class ProfileRows(SearchedRows[Profile]):
    """The functions that `@probes.profile_time` and `profile_memory` measure."""

    columns = PROFILES
    default_sort = "busy"

    def choose(self) -> list[Profile]:
        """All profiled functions that match the search."""
        return self.search(list(self.store.memory.profiles))

    def key_of(self, row: Profile) -> Hashable:
        """Function and kind, since a function may be profiled for both time and memory."""
        return (row.module, row.function, row.kind, row.site)

    def style(self, row: Profile, key: str) -> str:
        """Highlights failures and the name."""
        match key:
            case "function":
                return "strong"
            case "failed":
                return "bad" if row.failed else "faint"
            case "size_diff":
                return "warn" if (row.size_diff or 0) > 0 else "dim"
            case "kind" | "site":
                return "dim"
            case _:
                return "text"
