"""Declares columns: header, sort, cell, help, JSON key and documentation come from one declaration."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.store.store import Store

Row = TypeVar("Row")
Row_contra = TypeVar("Row_contra", contravariant=True)  # a column for a wider type fits narrower rows


class Attribute:
    """Sorts by an attribute of the row: for 100,000 rows five times as fast as a function call for each."""

    def __init__(self, name: str, shown: Callable[[Any, Store], Any] | None = None, *, measured: bool = False) -> None:
        """`shown` converts the attribute to the sort key.

        A `measured` one is unknown if the program is read from outside.
        """
        self._get: Callable[[Any], Any] = attrgetter(name)
        self._shown = shown
        self._measured = measured

    def __call__(self, row: Any, store: Store) -> Any:
        """Return the sort key of one row."""
        return self.values([row], store)[0]

    def values(self, rows: Sequence[Any], store: Store) -> list[Any]:
        """Return the sort keys of several rows, in their order."""
        if self._measured and store.read_only:
            return [None] * len(rows)
        found = list(map(self._get, rows))
        if self._shown is None:
            return found
        each = {id(value): value for value in found}  # many rows share one value
        shown = {number: self._shown(value, store) for number, value in each.items()}
        return [shown[id(value)] for value in found]


@dataclass(frozen=True, slots=True)
class Column(Generic[Row_contra]):
    """One column of a table of `Row`s."""

    key: str  # as in the JSON, and in filters
    title: str
    width: int  # cells; 0: takes the remaining width
    help: str
    text: Callable[[Row_contra, Store], str]  # text of the cell, not yet cleaned or cut
    sort: Callable[[Row_contra, Store], Any] | None = None  # sort key; None sorts last
    unit: str = ""
    right: bool = False
    priority: int = 1  # 1 is always shown; on a narrow screen the highest goes first
    descending: bool = True  # order at the first click on the header
    optional: bool = False  # left out on a screen while no row has a text for it


def figure(
    key: str,
    title: str,
    width: int,
    help: str,  # noqa: A002 - the name of the field
    show: Callable[[Any], str],
    value: Callable[[Row, Store], Any],
    *,
    unit: str = "",
    priority: int = 1,
    descending: bool = True,
    optional: bool = False,
) -> Column[Row]:
    """Declare a column of numbers, sorted by the value it shows."""
    return Column(
        key,
        title,
        width,
        help,
        lambda row, store: show(value(row, store)),
        value,
        unit=unit,
        right=True,
        priority=priority,
        descending=descending,
        optional=optional,
    )


def ordered(rows: list[Row], column: Column[Row], store: Store, descending: bool) -> list[Row]:
    """Sort rows by a column. Unknown values come last in either direction."""
    key = column.sort
    if key is None:
        return rows
    values = key.values(rows, store) if isinstance(key, Attribute) else [key(row, store) for row in rows]
    unknown: list[Row] = []
    if None in values:
        unknown = [row for row, value in zip(rows, values, strict=True) if value is None]
        rows = [row for row, value in zip(rows, values, strict=True) if value is not None]
        values = [value for value in values if value is not None]
    places = sorted(range(len(values)), key=values.__getitem__, reverse=descending)
    return [rows[place] for place in places] + unknown


def by_key(columns: tuple[Column[Row], ...], key: str) -> Column[Row] | None:
    """Return the column with a key, or None."""
    return next((column for column in columns if column.key == key), None)
