"""Tables for a terminal or a file: as many columns as fit, with names as text, never as markup."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rich.cells import cell_len, set_cell_size

from monitor import formatting as fmt
from monitor.store.column import Column
from monitor.store.column_widths import Size, choose, share
from monitor.store.store import Store
from monitor.store.task_names import called

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Row = TypeVar("Row")
GAP = 2
WIDEST = 60
"""Characters of the widest cell, except in the last column: a name may have ten thousand."""

SHRUNKEN = 18
"""Cells of a wide column when it is decided which columns fit."""

LEAST = 8
"""Cells of a text column that figures are not cut for."""

_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Heading(Generic[Row]):
    """A column of a plain table: the part of `Column` that needs no store."""

    title: str
    text: Callable[[Row], str]
    right: bool = False
    priority: int = 1


def of_columns(
    columns: Sequence[Column[Row]], store: Store, named: Callable[[Row], Any] = lambda row: row
) -> list[Heading[Row]]:
    """The store's columns, for rows of the store. A task that has no given name is named by its coroutine.

    `named`: what has the name and the coroutine of a row.
    """
    of_tasks = any(c.key == "coro" for c in columns)
    return [
        Heading(c.title, _called(named) if of_tasks and c.key == "name" else _reader(c, store), c.right, c.priority)
        for c in columns
    ]


def _called(named: Callable[[Row], Any]) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        thing = named(row)
        return called(thing.name, thing.coro)

    return text


def _reader(column: Column[Row], store: Store) -> Callable[[Row], str]:
    return lambda row: column.text(row, store)


def table(rows: Sequence[Row], headings: Sequence[Heading[Row]], width: int, colour: bool = False) -> list[str]:
    """The lines of a table, heading first, none wider than `width`."""
    most = [WIDEST] * (len(headings) - 1) + [max(width, WIDEST)]
    cells = [[cell(heading.text(row), limit) for heading, limit in zip(headings, most, strict=True)] for row in rows]
    widths = _widths(headings, cells)
    shown = fit(widths, [heading.priority for heading in headings], width)
    shrink(widths, shown, [heading.right for heading in headings], width)
    heading_line = _line([heading.title for heading in headings], headings, shown, widths)
    lines = [f"{_BOLD}{heading_line}{_PLAIN}" if colour else heading_line]
    lines += [_line(line, headings, shown, widths) for line in cells]
    return lines


def _widths(headings: Sequence[Heading[Any]], cells: Sequence[Sequence[str]]) -> list[int]:
    return [
        max([cell_len(heading.title), *(cell_len(line[i]) for line in cells)]) for i, heading in enumerate(headings)
    ]


def fit(widths: Sequence[int], priorities: Sequence[int], width: int) -> list[int]:
    """The columns to show: those of the first priority, and others while even shrunken columns fit."""
    shrunken = [min(each, SHRUNKEN) for each in widths]
    ranks = [0 if priority <= 1 else priority for priority in priorities]
    return choose([Size(rank, each, each) for rank, each in zip(ranks, shrunken, strict=True)], width, GAP)


def shrink(widths: list[int], shown: Sequence[int], right: Sequence[bool], width: int) -> None:
    """Narrow the widest text columns until the line fits; figures are cut only as a last resort."""
    last_first = list(reversed(shown))  # of equal columns the last one keeps the cell that cannot be halved
    wanted = [widths[i] for i in last_first]
    shared = [min(each, 1) for each in wanted]
    figures_whole = [each if right[i] else min(each, LEAST) for i, each in zip(last_first, wanted, strict=True)]
    share(shared, width - sum(shared) - GAP * (len(shown) - 1), (figures_whole, wanted))
    for i, each in zip(last_first, shared, strict=True):
        widths[i] = each


def cell(text: str, most: int = WIDEST) -> str:
    """A value as one printable piece of a line."""
    if len(text) > most:
        text = text[:most] + "…"
    return fmt.clean(text)


def cut(text: str, width: int) -> str:
    """Text in exactly that many cells; `…` marks a cut."""
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…" if width > 1 else set_cell_size(text, width)
    return set_cell_size(text, width)


def _line(line: Sequence[str], headings: Sequence[Heading[Any]], shown: Sequence[int], widths: Sequence[int]) -> str:
    parts = []
    for i in shown:
        text = line[i]
        if headings[i].right:
            parts.append(
                " " * max(widths[i] - cell_len(text), 0)
                + (cut(text, widths[i]) if cell_len(text) > widths[i] else text)
            )
        else:
            parts.append(cut(text, widths[i]))
    return (" " * GAP).join(parts).rstrip()
