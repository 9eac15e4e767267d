"""The rows of tables, selected and sorted less often than they are painted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from monitor.store.column import Column, by_key, ordered
from monitor.store.store import Store
from monitor.tui.base.paint import Part

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

Row = TypeVar("Row")


class Rows(Generic[Row]):
    """Rows in a fixed order until `arrange`. `store` is the live store or a frozen copy."""

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
        """The key of the row at an index."""
        return self.key_of(self.rows[index])

    def index(self, key: Hashable) -> int | None:
        """The index of a key, or None. The table of indexes is built on first use."""
        if self._places is None:
            self._places = self.places()
        return self._places.get(key)

    def places(self) -> dict[Hashable, int]:
        """Maps the keys of all rows to their indexes."""
        return {self.key_of(row): number for number, row in enumerate(self.rows)}

    def cells(self, index: int, columns: Sequence[Column[Any]]) -> list[Part]:
        """The texts and styles of a row, as of now."""
        row = self.now(self.rows[index])
        return [(column.text(row, self.store), self.style(row, column.key)) for column in columns]

    def sort_by(self, column: Column[Any], turn: bool) -> None:
        """Chooses the column to sort by; `turn` reverses the current order."""
        if turn and column.key == self.sort_key:
            self.descending = not self.descending
        elif column.key != self.sort_key:
            self.sort_key, self.descending = column.key, column.descending

    def arrange(self, store: Store) -> None:
        """Selects and sorts the rows."""
        self.store = store
        self.rows = self.order(self.choose())
        self._places = None

    def order(self, rows: list[Row]) -> list[Row]:
        """Sorts rows by the chosen column."""
        column = by_key(tuple(self.columns), self.sort_key)
        return rows if column is None else ordered(rows, column, self.store, self.descending)

    def choose(self) -> list[Row]:
        """Selects the rows to show, in any order."""
        raise NotImplementedError

    def key_of(self, row: Row) -> Hashable:
        """The key of a row, which stays the same when rows move."""
        raise NotImplementedError

    def now(self, row: Row) -> Row:
        """The current version of a row."""
        return row

    def style(self, row: Row, key: str) -> str:  # noqa: ARG002 - what subclasses look at
        """The style name of a cell."""
        return "text"


class SearchedRows(Rows[Row]):
    """Rows filtered by words in their visible texts."""

    def __init__(self, store: Store) -> None:
        self.words: tuple[str, ...] = ()
        super().__init__(store)

    def search(self, rows: list[Row]) -> list[Row]:
        """Returns the rows that match every word."""
        if not self.words:
            return rows
        return [row for row in rows if self._holds(row)]

    def _holds(self, row: Row) -> bool:
        texts = {column.key: column.text(row, self.store).lower() for column in self.columns}
        whole = " ".join(texts.values())
        if "group" not in texts:  # as in filters of tasks
            texts["group"] = f"{texts.get('coro', '')} {texts.get('label', '')}"
        return all(word in whole or _says(texts, *word.partition(":")) for word in self.words)


def _says(texts: dict[str, str], key: str, _colon: str, word: str) -> bool:
    """Whether a column matches a `key:text` term such as `outcome:failed`."""
    return bool(word) and word in texts.get(key, "")
