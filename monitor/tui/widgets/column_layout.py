"""Which columns a width has room for, and how wide each is. Columns go by priority; nothing ever wraps. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.store.columns import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

FLEX = 20  # what a column of width 0 wants at least
GAP = 1
ROOMY = 56  # no text column grows further while another is cut shorter than it would like


def smallest(column: Column[Any]) -> int:
    """Figures keep their width; text may shrink to 60 %."""
    if column.right:
        return column.width
    return max(int((column.width or FLEX) * 0.6), 8) if column.key not in ("state", "outcome") else column.width


def lay_out(columns: Sequence[Column[Any]], cells: int) -> list[tuple[Column[Any], int]]:
    """The columns that fit, in their order, with their widths."""
    chosen: list[Column[Any]] = []
    used = 0
    for column in sorted(columns, key=lambda column: column.priority):
        need = smallest(column) + (GAP if chosen else 0)
        if used + need <= cells or not chosen:
            chosen.append(column)
            used += need
    kept = [column for column in columns if column in chosen]
    widths = {column.key: smallest(column) for column in kept}
    left = cells - used
    texts = [column for column in kept if not column.right and column.key not in ("state", "outcome")]
    left = _grow(texts, widths, left, {column.key: column.width or FLEX for column in texts})
    flex = [column for column in texts if column.width == 0]
    left = _grow(flex, widths, left, {column.key: ROOMY for column in flex})
    left = _grow(texts, widths, left, {column.key: max(ROOMY, widths[column.key]) for column in texts})
    if texts and left > 0:
        widths[(flex or texts)[-1].key] += left
    return [(column, widths[column.key]) for column in kept]


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
