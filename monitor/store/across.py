"""Rows of several stores in one table, each with its worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from monitor.store.column import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from monitor.store.store import Store

Thing = TypeVar("Thing")
Thing_co = TypeVar("Thing_co", covariant=True)


@dataclass(frozen=True, slots=True)
class OfWorker(Generic[Thing_co]):
    """A row and the store it is from."""

    store: Store
    row: Thing_co
    whose: str = ""  # text of the column Process for a row that belongs to several


def process_text(store: Store) -> str:
    """`2 (4711)`: the slot of a process in its set, and its pid."""
    return f"{store.worker} ({store.session.pid})" if store.session is not None else str(store.worker)


def process_column(width: int = 11) -> Column[OfWorker[Any]]:
    """Return the column with slot and pid of the process."""
    return Column(
        "process",
        "Process",
        width,
        "worker: its slot, and the pid of the process in it",
        lambda of, s: of.whose or process_text(of.store),
        lambda of, s: of.store.worker,
        descending=False,
    )


def across(columns: Sequence[Column[Thing]], process: int = 11) -> tuple[Column[OfWorker[Thing]], ...]:
    """Return the columns of a table for rows of several stores; the first one is Process, of that width."""
    return (process_column(process), *map(_across, columns))


def _across(column: Column[Thing]) -> Column[OfWorker[Thing]]:
    sort = column.sort
    key: Callable[[OfWorker[Thing], Store], object] | None = None
    if sort is not None:
        take = sort
        key = lambda of, s: take(of.row, of.store)  # noqa: E731 - a lambda, as in all columns
    return Column(
        column.key,
        column.title,
        column.width,
        column.help,
        lambda of, s: column.text(of.row, of.store),
        key,
        column.unit,
        column.right,
        column.priority,
        column.descending,
        optional=column.optional,
    )
