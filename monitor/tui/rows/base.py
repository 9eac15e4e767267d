"""What the tables show: rows of the store, chosen and sorted on a slower clock than they are painted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from monitor.store.column import Column, by_key, ordered
from monitor.store.labels import called
from monitor.store.model import EndedTask, Task
from monitor.store.store import Store
from monitor.tui.base.paint import Part

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

Row = TypeVar("Row")


class Rows(Generic[Row]):
    """Rows in an order, until they are arranged again. `store` is what is looked at: the live one, or a frozen copy."""

    columns: Sequence[Column[Any]] = ()
    default_sort = ""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.sort_key = self.default_sort
        column = by_key(tuple(self.columns), self.sort_key)
        self.descending = column.descending if column is not None else True
        self.rows: list[Row] = []
        self._places: dict[Hashable, int] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def key(self, index: int) -> Hashable:
        """What a row is called."""
        return self.key_of(self.rows[index])

    def index(self, key: Hashable) -> int | None:
        """The place of a key. Who is never asked needs no table of places."""
        if self._places is None:
            self._places = self.places()
        return self._places.get(key)

    def places(self) -> dict[Hashable, int]:
        """The place of each key."""
        return {self.key_of(row): number for number, row in enumerate(self.rows)}

    def cells(self, index: int, columns: Sequence[Column[Any]]) -> list[Part]:
        """What a row shows now."""
        row = self.now(self.rows[index])
        cells: list[Part] = [(column.text(row, self.store), self.style(row, column.key)) for column in columns]
        if isinstance(row, Task | EndedTask) and all(column.key != "coro" for column in columns):
            for number, column in enumerate(columns):
                if column.key == "name":
                    cells[number] = (called(row.name, row.coro), cells[number][1])
        return cells

    def sort_by(self, column: Column[Any], turn: bool) -> None:
        """Chooses the column; `turn` reverses the order that it has."""
        if turn and column.key == self.sort_key:
            self.descending = not self.descending
        elif column.key != self.sort_key:
            self.sort_key, self.descending = column.key, column.descending

    def arrange(self, store: Store) -> None:
        """Chooses and sorts the rows."""
        self.store = store
        self.rows = self.order(self.choose())
        self._places = None

    def order(self, rows: list[Row]) -> list[Row]:
        """The rows by the column that was chosen."""
        column = by_key(tuple(self.columns), self.sort_key)
        return rows if column is None else ordered(rows, column, self.store, self.descending)

    def choose(self) -> list[Row]:
        """The rows that are shown, in any order."""
        raise NotImplementedError

    def key_of(self, row: Row) -> Hashable:
        """What a row is called, whatever its place."""
        raise NotImplementedError

    def now(self, row: Row) -> Row:
        """The row as it is now."""
        return row

    def style(self, row: Row, key: str) -> str:  # noqa: ARG002 - what subclasses look at
        """The style name of a cell."""
        return "text"


class SearchedRows(Rows[Row]):
    """Rows that are filtered by the words of what they show."""

    def __init__(self, store: Store) -> None:
        self.words: tuple[str, ...] = ()
        super().__init__(store)

    def search(self, rows: list[Row]) -> list[Row]:
        """The rows in which every word is found."""
        if not self.words:
            return rows
        return [row for row in rows if self._holds(row)]

    def _holds(self, row: Row) -> bool:
        texts = {column.key: column.text(row, self.store).lower() for column in self.columns}
        whole = " ".join(texts.values())
        return all(word in whole or _says(texts, *word.partition(":")) for word in self.words)


def _says(texts: dict[str, str], key: str, _colon: str, word: str) -> bool:
    """Whether a column says it, for who writes `outcome:failed` as in a filter of tasks."""
    return bool(word) and word in texts.get(key, "")
