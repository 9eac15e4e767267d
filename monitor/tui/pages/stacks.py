"""Stacks with their source lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.store.model import Site
from monitor.store.names import line_text
from monitor.store.store import Store
from monitor.tui.paint import Line, Part, line
from monitor.tui.widgets.source_view import Sources

if TYPE_CHECKING:
    from collections.abc import Sequence


Held = tuple[tuple[str, str], ...]

CLOCK_SLACK = 3.0
"""Seconds: the start of a process and the time of a file come from different clocks."""


def is_library(site: Site, store: Store) -> bool:
    """Whether a frame is of the standard library or a frozen module: shown faintly."""
    roots = store.session.paths.get("stdlib", []) if store.session else []
    return site.file.startswith("<") or any(site.file.startswith(root) for root in roots)


def heading(title: str, cells: int, note: str = "") -> Line:
    """A title with a rule to the edge."""
    parts: list[Part] = [(title, "heading")]
    if note:
        parts.append((f"  {note}", "dim"))
    used = sum(len(text) for text, _ in parts)
    parts.append((" " + "─" * max(cells - used - 1, 0), "faint"))
    return Line(tuple(parts))


def stack(
    sites: Sequence[Site],
    store: Store,
    sources: Sources,
    cells: int,
    marked: int | None = None,
    names_held: Sequence[Held | None] = (),
) -> list[Line]:
    """Frames, one line each with its source line below; around the marked one its neighbours too.

    `names_held`: for each frame the local names with their values, where they are kept.
    """
    names = [site.function.rpartition(".<locals>.")[2] for site in sites]
    room = min(max((len(name) for name in names), default=0), max(cells // 2 - 4, 12))
    lines = []
    for number, (site, name) in enumerate(zip(sites, names, strict=True)):
        library = is_library(site, store)
        name_style = "dim" if library else "strong"
        lines.append(
            line((f"{name:<{room}}", name_style), (f"  {line_text(site, store)}", "faint" if library else "dim"))
        )
        if number == marked:
            lines += sources.around(site.file, site.line, 2, 2)
        elif not library:
            text = sources.one(site.file, site.line)
            if text:
                lines.append(line((f"    {text}", "dim")))
        if number < len(names_held):
            lines += _held(names_held[number] or ())
    return lines


def _held(held: Held) -> list[Line]:
    """Local names with what they held."""
    room = min(max((len(name) for name, _ in held), default=0), 24)
    return [line((f"      {name:<{room}} = ", "dim"), (text, "text")) for name, text in held]


def innermost_own(sites: Sequence[Site], store: Store) -> int | None:
    """The last frame that is not of a library."""
    own = [number for number, site in enumerate(sites) if not is_library(site, store)]
    return own[-1] if own else None


def changed_note(sites: Sequence[Site], store: Store, sources: Sources) -> list[Line]:
    """Says when a file is newer than the program: what is shown may then not be what runs."""
    if store.session is None:
        return []
    started = store.session.started + CLOCK_SLACK
    changed = sorted({site.file for site in sites if sources.changed_after(site.file, started)})
    return [
        line((f"{path} was changed after the program started: lines may have moved", "warn")) for path in changed[:2]
    ]
