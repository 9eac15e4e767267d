"""The page of one ended task, or of one call of a loop's exception handler."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.store.columns import GLYPHS
from monitor.store.end_rows import UNHANDLED, UnhandledRow
from monitor.store.labels import canceller_text, site_text, when
from monitor.store.model import EndedTask, Unhandled
from monitor.store.store import Store
from monitor.store.task_names import title, title_of
from monitor.tui.base.paint import BLANK, Line, Part, line
from monitor.tui.base.theme import STATE_STYLES
from monitor.tui.pages.stacks import changed_note, heading, innermost_own, stack
from monitor.tui.widgets.source_view import Sources

if TYPE_CHECKING:
    from collections.abc import Container, Hashable

EXPLAINED = {
    "done": "it returned",
    "cancelled": "it was cancelled",
    "failed": "it raised",
    UNHANDLED: "the loop's exception handler was called",
}


def end_page(
    store: Store,
    end: EndedTask | Unhandled,
    sources: Sources,
    cells: int,
    locals_kept: bool | None = None,
    unfolded: Container[Hashable] = (),
) -> list[Line]:
    """Builds the page. `locals_kept`: whether local variables are kept now; None if they cannot be."""
    row = UnhandledRow(end) if isinstance(end, Unhandled) else end
    clock = time.strftime("%H:%M:%S", time.localtime(row.ended))
    ago = "" if store.stale else f"{when(row.ended, store)} "
    coro = row.entry.coro if isinstance(row, UnhandledRow) else row.coro
    name = title(row.id, row.name, coro, row.label) or row.coro
    parts: list[Part] = [(f"{GLYPHS.get(row.outcome, '■')} {row.outcome}", STATE_STYLES.get(row.outcome, "text"))]
    parts += [("  ", "text"), (name, "strong")]
    lines = [line(*parts), line((f"{EXPLAINED.get(row.outcome, '')}, {ago}at {clock}", "dim")), BLANK]
    lines += _call(row.entry) if isinstance(row, UnhandledRow) else _facts(store, row)
    lines.append(BLANK)
    failure = row.failure
    if failure is None:
        return lines
    lines.append(heading("Exception", cells))
    for number, text in enumerate((failure.message or "").split("\n")[:40]):
        before: Part = (f"{failure.type}: " if failure.type and number == 0 else "  " if number else "", "bad")
        lines.append(line(before, (text, "text")))
    lines.append(BLANK)
    lines.append(heading("Traceback", cells, "outermost first"))
    if not failure.traceback:
        return [*lines, line(("not kept", "dim"))]
    if failure.locals is None and locals_kept is not None:
        since = (
            "they are kept for tasks that fail from now on" if locals_kept else "press L to keep those of failing tasks"
        )
        lines.append(line((f"  local variables were not kept: {since}", "dim")))
    lines += changed_note(failure.traceback, store, sources)
    marked = innermost_own(failure.traceback, store)
    return lines + stack(failure.traceback, store, sources, cells, marked, failure.locals or (), unfolded)


def _call(entry: Unhandled) -> list[Line]:
    """The message, and the task that the call names."""
    lines = [line((f"{'message':<14}", "dim"), (entry.message, "text"))]
    if entry.task:
        text = title(entry.task, entry.name, entry.coro, entry.label)
        lines.append(line((f"{'task':<14}", "dim"), (text, "text"), target=("task", entry.task)))
    return lines


def _facts(store: Store, ended: EndedTask) -> list[Line]:
    def row(*pairs: tuple[str, str]) -> Line:
        return line(*[part for label, text in pairs for part in ((f"{label:<14}", "dim"), (f"{text:<24}", "text"))])

    lines = [
        row(("coroutine", ended.coro)),
        row(("created at", site_text(ended.site, store))),
        row(("lived", fmt.duration(ended.age)), ("steps", fmt.count(ended.steps))),
        row(("busy", fmt.duration(ended.busy)), ("longest step", fmt.duration(ended.max_step))),
        row(("scheduled", fmt.duration(ended.scheduled))),
    ]
    if ended.cancelled_by is not None:
        by = ended.cancelled_by
        target = None if by.task is None else ("task", by.task)
        lines.append(line((f"{'cancelled':<14}", "dim"), (canceller_text(by, store), "strong"), target=target))
    if ended.parent:
        parent = store.tasks.get(ended.parent)
        text = title_of(parent) if parent is not None else f"#{ended.parent}, ended"
        lines.append(line((f"{'parent':<14}", "dim"), (text, "text"), target=("task", ended.parent)))
    return lines
