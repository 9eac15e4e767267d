"""Chooses columns by priority and shares the cells among them, for tables on a screen and in plain text. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableSequence, Sequence


class Size(NamedTuple):
    """What a column asks for."""

    priority: int  # the highest number goes first; 0 is always there
    least: int  # cells
    roomy: int
    """Cells that it is to have before a column of a priority that is not squeezed joins it."""


def choose(sizes: Sequence[Size], cells: int, gap: int, *, squeezed: int = 0, skip: bool = False) -> list[int]:
    """The indices of the columns that fit, in their order; at least one.

    Columns up to the priority `squeezed` need only their least width, others room to spare. `skip`: a smaller column
    may take the place of one that does not fit; otherwise the first that does not fit is the end.
    """
    chosen: list[int] = []
    least = roomy = -gap
    for index in sorted(range(len(sizes)), key=lambda index: sizes[index].priority):
        size = sizes[index]
        needed = least + size.least if size.priority <= squeezed else roomy + size.roomy
        if chosen and size.priority and needed + gap > cells:
            if skip:
                continue
            break
        chosen.append(index)
        least, roomy = least + size.least + gap, roomy + size.roomy + gap
    return sorted(chosen)


def share(widths: MutableSequence[int], cells: int, stages: Iterable[Sequence[int]]) -> int:
    """Widens columns to the goals of each stage in turn, evenly where the cells do not suffice; returns the rest.

    A cell that is left over goes to the first of the columns below their goal.
    """
    for goals in stages:
        while cells > 0:
            below = [index for index, width in enumerate(widths) if width < goals[index]]
            if not below:
                break
            part = max(cells // len(below), 1)
            for index in below:
                more = min(part, goals[index] - widths[index], cells)
                widths[index] += more
                cells -= more
    return cells
