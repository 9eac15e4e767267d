"""A profile as a tree of frames, below the groups of tasks; and the difference of two."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.store.model import Site

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.store.flame import Row, Stacks

Key = tuple[str, str]
"""Key of a node among its siblings: file and function. Lines of one function are merged."""


@dataclass(slots=True)
class Node:
    """A frame in the tree, with the time below it. `before`: that time in the profile compared with."""

    name: str
    site: Site | None = None  # None: the root, or a group
    seconds: float = 0.0
    own: float = 0.0  # time in the frame itself, without frames it called
    before: float = 0.0
    lines: dict[int, float] = field(default_factory=dict)
    children: dict[Key, Node] = field(default_factory=dict)

    @property
    def line(self) -> int:
        """The line at which it spent most of its time."""
        return max(self.lines, key=lambda line: self.lines[line], default=0)

    def ordered(self) -> list[Node]:
        """The children, largest first (of a difference: by the larger of both)."""
        return sorted(self.children.values(), key=lambda node: (-max(node.seconds, node.before), node.name))

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Node]]:
        """Yield this node and all below it with their depths, largest first."""
        pending = [(depth, self)]
        while pending:
            at, node = pending.pop()
            yield at, node
            pending += [(at + 1, child) for child in reversed(node.ordered())]


def short_name(site: Site) -> str:
    """Return the name of a function without the classes and functions it is nested in."""
    return site.function.rpartition("<locals>.")[2] or site.file or "?"


def build(rows: Iterable[Row]) -> Node:
    """Return the tree of a profile."""
    root = Node("all")
    _add(root, rows, before=False)
    return root


def difference(before: Iterable[Row], after: Iterable[Row]) -> Node:
    """Return the tree of two profiles; `before` is scaled to the total of the second, so that shares are compared."""
    root = Node("all")
    _add(root, after, before=False)
    _add(root, before, before=True)
    scale = root.seconds / root.before if root.before and root.seconds else 1.0
    for _, node in root.walk():
        node.before *= scale
    return root


def _add(root: Node, rows: Iterable[Row], *, before: bool) -> None:
    for group, stack, seconds in rows:
        node = root
        _count(node, seconds, before=before)
        for site in (None, *stack):
            key = ("", group) if site is None else (site.file, site.function)
            child = node.children.get(key)
            if child is None:
                child = node.children[key] = Node(group if site is None else short_name(site), site)
            node = child
            _count(node, seconds, before=before)
            if site is not None and not before:
                node.lines[site.line] = node.lines.get(site.line, 0.0) + seconds
            elif site is not None and not node.lines:
                node.lines[site.line] = 0.0
        if not before:
            node.own += seconds


def _count(node: Node, seconds: float, *, before: bool) -> None:
    if before:
        node.before += seconds
    else:
        node.seconds += seconds


@dataclass(frozen=True, slots=True)
class Change:
    """A function in two profiles: its own and total share of the time."""

    site: Site
    own: tuple[float, float]
    total: tuple[float, float]


def changes(before: Stacks, after: Stacks, wholes: tuple[float, float] = (0.0, 0.0)) -> list[Change]:
    """Return functions by growth of their own share of the time, most first.

    `wholes`: seconds that are 100 % in each profile (default: all stacks).
    """
    shares = [_shares(stacks, whole or stacks.seconds) for stacks, whole in zip((before, after), wholes, strict=True)]
    found = []
    for key in {**shares[0], **shares[1]}:
        known = [share.get(key) for share in shares]
        site = next(one[2] for one in reversed(known) if one is not None)
        own = tuple(0.0 if one is None else one[0] for one in known)
        total = tuple(0.0 if one is None else one[1] for one in known)
        found.append(Change(site, (own[0], own[1]), (total[0], total[1])))
    return sorted(found, key=lambda change: (change.own[0] - change.own[1], change.total[0] - change.total[1]))


def _shares(stacks: Stacks, whole: float) -> dict[Key, tuple[float, float, Site]]:
    """Return own and total seconds of each function; recursion counts once."""
    whole = whole or 1.0
    found: dict[Key, tuple[float, float, Site]] = {}
    for _, stack, seconds in stacks:
        for place, site in {(site.file, site.function): site for site in stack}.items():
            own, total, _ = found.get(place, (0.0, 0.0, site))
            innermost = stack[-1]
            own += seconds / whole if (innermost.file, innermost.function) == place else 0.0
            found[place] = own, total + seconds / whole, site
    return found
