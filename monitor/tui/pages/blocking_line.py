"""The page of one line that blocked a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.store.labels import holder_text, line_text, when, who
from monitor.store.model import SlowCallback
from monitor.store.slow_log import BlockingLine
from monitor.store.store import Store
from monitor.tui.pages.stacks import changed_note, heading, stack
from monitor.tui.paint import BLANK, Line, line
from monitor.tui.theme import delay_style
from monitor.tui.widgets.source_view import Sources
from monitor.tui.widgets.spark import bar

if TYPE_CHECKING:
    from collections.abc import Container, Hashable

BAR = 16


def blocking_line_page(
    store: Store, group: BlockingLine, sources: Sources, cells: int, unfolded: Container[Hashable] = ()
) -> list[Line]:
    """What it blocked, where it stands, who came there, and the last times."""
    figures = [
        ("count ", fmt.count(group.count)),
        ("   total ", fmt.duration(group.total)),
        ("   worst ", fmt.duration(group.worst)),
        ("   mean ", fmt.duration(group.total / group.count if group.count else None)),
        ("   last ", when(group.last, store)),
    ]
    summary = line(
        *[(text, style) for title, figure in figures for text, style in ((title, "dim"), (figure, "strong"))]
    )
    if group.line is None:
        lines = [
            line(("Over before it was caught", "heading")),
            line(("These ended before the watchdog had seen them: their line is not known.", "dim")),
            summary,
            BLANK,
        ]
    else:
        lines = [
            line((line_text(group.line, store), "strong"), ("  in ", "dim"), (group.line.function, "text")),
            summary,
            BLANK,
            *sources.around(group.line.file, group.line.line, 4, 4),
            *changed_note([group.line], store, sources),
            BLANK,
        ]
    lines += _waited_for_the_gil(store, group, sources, cells)
    worst = max(group.callbacks, key=lambda slow: slow.duration, default=None)
    last = group.callbacks[-1] if group.callbacks else None
    shown = last if last is not None and last.stack else worst
    if shown is not None and shown.stack:
        lines.append(heading("Stack while it blocked", cells, _caught(shown)))
        lines += stack(shown.stack, store, sources, cells, unfolded=unfolded)
        lines.append(BLANK)
    lines.append(heading(f"Last times ({len(group.callbacks)})", cells, "newest first; Enter goes to the task"))
    longest = worst.duration if worst is not None else 1.0
    lines += [_occurrence(store, slow, longest) for slow in reversed(group.callbacks)]
    return lines


def _waited_for_the_gil(store: Store, group: BlockingLine, sources: Sources, cells: int) -> list[Line]:
    """How much of it was waiting for the GIL, and where the thread was that had it."""
    last = next((slow for slow in reversed(group.callbacks) if slow.gil), None)
    if last is None:
        return []
    said = line(
        (fmt.duration(group.gil), "strong"), (" of it was waiting for the GIL; this line is innocent of it", "text")
    )
    if last.held_by is None:
        return [said, BLANK]
    title = heading("Who had the GIL", cells, f"the last time: {holder_text(last.held_by)}, outermost first")
    return [said, BLANK, title, *stack(last.held_by.stack, store, sources, cells), BLANK]


def _caught(slow: SlowCallback) -> str:
    samples = f"{fmt.count(slow.samples)} samples, " if slow.samples > 1 else ""
    return f"the last time, {samples}outermost first"


def _occurrence(store: Store, slow: SlowCallback, longest: float) -> Line:
    alive = slow.task is not None and slow.task in store.tasks
    whose = who(slow.name, slow.callback) or "a callback"
    number = "" if slow.task is None else f"  task {slow.task}{'' if alive else ', ended'}"
    return line(
        (f"{when(slow.at, store):>11}  ", "dim"),
        (f"{fmt.duration(slow.duration):>6} ", delay_style(slow.duration)),
        (bar(slow.duration / longest if longest else 0.0, BAR), "bar"),
        ("  ", "text"),
        (whose, "strong"),
        (number, "dim"),
        target=None if slow.task is None else ("task", slow.task),
    )
