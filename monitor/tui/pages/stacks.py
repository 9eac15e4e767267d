"""Stacks with source lines. The user's frames are shown in full, frames of libraries between them folded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.store.folding import Fold, folded, library_of, own_frames
from monitor.store.labels import line_text
from monitor.store.model import Site
from monitor.store.store import Store
from monitor.tui.base.paint import Line, Part, line
from monitor.tui.widgets.source_view import Sources

if TYPE_CHECKING:
    from collections.abc import Container, Hashable, Sequence


Held = tuple[tuple[str, str], ...]

CLOCK_SLACK = 3.0
"""Seconds: the start of a process and the time of a file come from different clocks."""


def stdlib_of(store: Store) -> Sequence[str]:
    """The folder of the standard library that the program uses."""
    return store.session.paths.get("stdlib", []) if store.session else []


def is_library(site: Site, store: Store) -> bool:
    """Whether a frame belongs to the standard library or a package; those are faint."""
    return bool(library_of(site.file, stdlib_of(store)))


def heading(title: str, cells: int, note: str = "") -> Line:
    """A section title with a rule to the edge."""
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
    unfolded: Container[Hashable] = (),
) -> list[Line]:
    """One line per frame with its source line below, and more source around the marked frame.

    Runs of frames that are not the user's are folded into one line until the user opens it; its target is then in
    `unfolded`. `names_held`: for each frame the local variables, if they are kept.
    """
    names = [site.function.rpartition(".<locals>.")[2] for site in sites]
    files = [site.file for site in sites]
    own = set(own_frames(files, stdlib_of(store)))
    shown: list[int] = []
    before: dict[int, Line] = {}
    for part in folded(files, stdlib_of(store), () if marked is None else (marked,)):
        if not isinstance(part, Fold):
            shown.append(part)
            continue
        target = ("fold", sites[part.begin], sites[part.end - 1])
        open_ = target in unfolded
        before[part.begin if open_ else part.end] = line(
            (f"{'▾' if open_ else '▸'} {part.text}", "faint"), target=target
        )
        if open_:
            shown += range(part.begin, part.end)
    room = min(max((len(names[number]) for number in shown), default=0), max(cells // 2 - 4, 12))
    lines = []
    for number in shown:
        site, name = sites[number], names[number]
        mine = number in own
        if number in before:
            lines.append(before[number])
        lines.append(
            line(
                (f"{name:<{room}}", "strong" if mine else "dim"),
                (f"  {line_text(site, store)}", "dim" if mine else "faint"),
            )
        )
        if number == marked:
            lines += sources.around(site.file, site.line, 2, 2)
        elif mine:
            text = sources.one(site.file, site.line)
            if text:
                lines.append(line((f"    {text}", "dim")))
        if number < len(names_held):
            lines += _held(names_held[number] or ())
    return lines


def _held(held: Held) -> list[Line]:
    """Local variables with their values."""
    room = min(max((len(name) for name, _ in held), default=0), 24)
    return [line((f"      {name:<{room}} = ", "dim"), (text, "text")) for name, text in held]


def innermost_own(sites: Sequence[Site], store: Store) -> int | None:
    """The innermost frame in the user's code."""
    own = own_frames([site.file for site in sites], stdlib_of(store))
    return own[-1] if own else None


def changed_note(sites: Sequence[Site], store: Store, sources: Sources) -> list[Line]:
    """Warns if a file is newer than the program, as the lines shown may not be the running code."""
    if store.session is None:
        return []
    started = store.session.started + CLOCK_SLACK
    changed = sorted({site.file for site in sites if sources.changed_after(site.file, started)})
    return [
        line((f"{path} was changed after the program started: lines may have moved", "warn")) for path in changed[:2]
    ]
