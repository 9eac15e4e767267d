"""Lays an icicle out in cells: which frames are in which row, from where to where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.flame.tree import Key, Node

Path = tuple["Key", ...]
"""A node, identified by the keys that lead to it from the root."""


@dataclass(frozen=True, slots=True)
class Box:
    """A frame in its row: cells from `start` to before `end`."""

    start: int
    end: int
    node: Node
    path: Path


def at_path(root: Node, path: Path) -> tuple[Node, Path]:
    """Return the node of a path, or its last existing ancestor, and that node's path."""
    node = root
    for number, key in enumerate(path):
        below = node.children.get(key)
        if below is None:
            return node, path[:number]
        node = below
    return node, path


def weight(node: Node) -> float:
    """Return the seconds that the width of a frame stands for; in a difference, the larger of both profiles."""
    return max(node.seconds, node.before)


def layout(root: Node, zoomed: Path, cells: int) -> list[list[Box]]:
    """The rows: the frames above the zoomed one over the whole width, then what is below it. Under a cell: left out."""
    rows: list[list[Box]] = []
    node = root
    for number in range(len(zoomed)):
        rows.append([Box(0, cells, node, zoomed[:number])])
        node = node.children[zoomed[number]]
    row = [Box(0, cells, node, zoomed)]
    while row:
        rows.append(row)
        below: list[Box] = []
        for box in row:
            children = box.node.ordered()
            whole = max(weight(box.node), sum(weight(child) for child in children))
            place, room = float(box.start), box.end - box.start
            for child in children:
                end = place + (room * weight(child) / whole if whole else 0.0)
                if round(end) > round(place):
                    key = ("", child.name) if child.site is None else (child.site.file, child.site.function)
                    below.append(Box(round(place), round(end), child, (*box.path, key)))
                place = end
        row = below
    return rows
