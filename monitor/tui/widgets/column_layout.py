"""Which columns a width has room for, and how wide each is. Columns go by priority; nothing ever wraps. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.store.column import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

FLEX = 26  # what a column of width 0 wants
GAP = 1
ROOMY = 56  # no text column grows further while another is cut shorter than it would like
FIXED = ("state", "outcome", "kind")  # words of a known length
ESSENTIAL = 2  # columns up to this priority may squeeze the texts; others come only where there is room to spare


def lay_out(columns: Sequence[Column[Any]], cells: int, sorted_by: str = "") -> list[tuple[Column[Any], int]]:
    """The columns that fit, in their order, with their widths. The one that is sorted by is always among them."""

    def priority(column: Column[Any]) -> int:
        return 0 if column.key == sorted_by else column.priority

    chosen: list[Column[Any]] = []
    used = wanted = -GAP
    for column in sorted(columns, key=priority):
        least, most = _smallest(column) + GAP, _preferred(column) + GAP
        fits = used + least <= cells if priority(column) <= ESSENTIAL else wanted + most <= cells
        if fits or not chosen:
            chosen.append(column)
            used, wanted = used + least, wanted + most
    kept = [column for column in columns if column in chosen]
    widths = {column.key: _smallest(column) for column in kept}
    left = cells - used
    texts = [column for column in kept if _stretches(column)]
    flex = [column for column in texts if column.width == 0]
    left = _grow(texts, widths, left, {column.key: _preferred(column) for column in texts})
    left = _grow(flex, widths, left, {column.key: ROOMY for column in flex})
    left = _grow(texts, widths, left, {column.key: max(ROOMY, widths[column.key]) for column in texts})
    if texts and left > 0:
        widths[(flex or texts)[-1].key] += left
    return [(column, widths[column.key]) for column in kept]


def _stretches(column: Column[Any]) -> bool:
    return not column.right and column.key not in FIXED


def _preferred(column: Column[Any]) -> int:
    return column.width or FLEX


def _smallest(column: Column[Any]) -> int:
    """Figures keep their width; text may shrink to 60 %."""
    return max(int(_preferred(column) * 0.6), 8) if _stretches(column) else column.width


def _grow(columns: Sequence[Column[Any]], widths: dict[str, int], left: int, goals: dict[str, int]) -> int:
    """Gives cells evenly to the columns that are below their goal; returns what is left."""
    while left > 0:
        hungry = [column for column in columns if widths[column.key] < goals[column.key]]
        if not hungry:
            break
        share = max(left // len(hungry), 1)
        for column in hungry:
            give = min(share, goals[column.key] - widths[column.key], left)
            widths[column.key] += give
            left -= give
    return left
