"""Chooses columns by priority and sets their widths. Nothing wraps. Pure.

The width alone decides which columns are shown. The widths of text columns also depend on their texts, so that none is
cut while another has blanks to spare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.store.column import Column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FLEX = 26  # desired width of a column of width 0
GAP = 1
FIXED = ("state", "outcome", "kind")  # words: never narrower than declared
ESSENTIAL = 2  # columns up to this priority may squeeze texts; others need spare room


def lay_out(
    columns: Sequence[Column[Any]], cells: int, sorted_by: str = "", needs: Mapping[str, int] | None = None
) -> list[tuple[Column[Any], int]]:
    """The columns that fit, in their order, with their widths; always including the sort column.

    `needs`: cells of the longest known text of a column, by key.
    """
    known = needs or {}

    def priority(column: Column[Any]) -> int:
        return 0 if column.key == sorted_by else column.priority

    chosen: list[Column[Any]] = []
    used = wanted = -GAP
    for column in sorted(columns, key=priority):
        if column.optional and needs is not None and not known.get(column.key) and column.key != sorted_by:
            continue
        least, most = _smallest(column) + GAP, _preferred(column) + GAP
        fits = used + least <= cells if priority(column) <= ESSENTIAL else wanted + most <= cells
        if fits or not chosen:
            chosen.append(column)
            used, wanted = used + least, wanted + most
    kept = [column for column in columns if column in chosen]
    widths = {column.key: _smallest(column) for column in kept}
    left = cells - used
    texts = [column for column in kept if not column.right]
    flex = [column for column in texts if column.width == 0]
    wishes = {column.key: _preferred(column) for column in texts}
    asked = {column.key: max(known.get(column.key, wishes[column.key]), len(column.title) + 1) for column in texts}
    for goals in ({key: min(wish, asked[key]) for key, wish in wishes.items()}, asked, wishes):
        left = _grow(texts, widths, left, goals)
    if texts and left > 0:
        widths[(flex or texts)[-1].key] += left
    return [(column, widths[column.key]) for column in kept]


def _preferred(column: Column[Any]) -> int:
    return column.width or FLEX


def _smallest(column: Column[Any]) -> int:
    """The minimal width: figures and words keep theirs, text may shrink to 60 %."""
    if column.right or column.key in FIXED:
        return column.width
    return max(int(_preferred(column) * 0.6), 8)


def _grow(columns: Sequence[Column[Any]], widths: dict[str, int], left: int, goals: dict[str, int]) -> int:
    """Distributes cells evenly among columns below their goal; returns the rest."""
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
