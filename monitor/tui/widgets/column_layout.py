"""Lays out the columns of a table on a screen. Nothing wraps. Pure.

The width alone decides which columns are shown. The widths of text columns also depend on their texts, so that none is
cut while another has blanks to spare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.store.column import Column
from monitor.store.column_widths import Size, choose, share

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

    offered = [
        column
        for column in columns
        if not column.optional or needs is None or known.get(column.key) or column.key == sorted_by
    ]
    sizes = [
        Size(0 if column.key == sorted_by else column.priority, _smallest(column), _preferred(column))
        for column in offered
    ]
    chosen = choose(sizes, cells, GAP, squeezed=ESSENTIAL, skip=True)
    kept = [offered[index] for index in chosen]
    widths = [sizes[index].least for index in chosen]
    texts = [number for number, column in enumerate(kept) if not column.right]
    wishes, asked = list(widths), list(widths)
    for number in texts:
        wishes[number] = sizes[chosen[number]].roomy
        asked[number] = max(known.get(kept[number].key, wishes[number]), len(kept[number].title) + 1)
    left = share(
        widths,
        cells - sum(widths) - GAP * (len(widths) - 1),
        ([min(wish, need) for wish, need in zip(wishes, asked, strict=True)], asked, wishes),
    )
    if texts and left > 0:
        flex = [number for number in texts if kept[number].width == 0]
        widths[(flex or texts)[-1]] += left
    return list(zip(kept, widths, strict=True))


def _preferred(column: Column[Any]) -> int:
    return column.width or FLEX


def _smallest(column: Column[Any]) -> int:
    """The minimal width: figures and words keep theirs, text may shrink to 60 %."""
    if column.right or column.key in FIXED:
        return column.width
    return max(int(_preferred(column) * 0.6), 8)
