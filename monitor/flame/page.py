"""Writes a profile as one self-contained HTML page: an icicle that zooms, searches and shows differences."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.flame.tree import Node

TEMPLATE = Path(__file__).with_name("page.html")
"""The template, with three placeholders."""

MOST_NODES = 20_000
LEAST_SHARE = 0.0002
"""Share of all time below which frames are omitted from the page."""


def page(root: Node, title: str, *, is_difference: bool = False) -> str:
    """Return the whole page. Names are embedded as data, never as markup."""
    nodes = {"left": MOST_NODES}
    tree = json.dumps(_plain(root, max(root.seconds, root.before) * LEAST_SHARE, nodes), separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        tree = tree.replace(letter, f"\\u{ord(letter):04x}")
    return (
        TEMPLATE.read_text(encoding="utf-8")
        .replace("{{title}}", html.escape(title))
        .replace("{{difference}}", "true" if is_difference else "false")
        .replace("{{tree}}", tree)
    )


def _plain(root: Node, least: float, left: dict[str, int]) -> dict[str, Any]:
    top: dict[str, Any] = {}
    pending = [(root, top)]
    while pending:
        node, plain = pending.pop()
        plain |= {"n": node.name, "v": round(node.seconds, 6), "b": round(node.before, 6), "o": round(node.own, 6)}
        if node.site is not None:
            plain |= {"f": node.site.file, "l": node.line, "q": node.site.function}
        for child in node.ordered():
            if max(child.seconds, child.before) < least or left["left"] <= 0:
                break
            left["left"] -= 1
            below: dict[str, Any] = {}
            plain.setdefault("c", []).append(below)
            pending.append((child, below))
    return top
