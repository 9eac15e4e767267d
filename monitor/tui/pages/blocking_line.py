"""The page of one line that blocked a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.store.labels import holder_text, line_text, reasons_text, when
from monitor.store.model import SlowCallback
from monitor.store.slow_log import BlockingLine
from monitor.store.store import Store
from monitor.store.task_names import who
from monitor.tui.base.paint import BLANK, Line, line
from monitor.tui.base.theme import delay_style
from monitor.tui.pages.stacks import changed_note, heading, stack
from monitor.tui.widgets.source_view import Sources
from monitor.tui.widgets.spark import bar

if TYPE_CHECKING:
    from collections.abc import Container, Hashable

BAR = 16


def blocking_line_page(
    store: Store, group: BlockingLine, sources: Sources, cells: int, unfolded: Container[Hashable] = ()
) -> list[Line]:
    """Builds the page: totals, the stack with its source, and the most recent blocks."""
    figures = [
        ("count ", fmt.count(group.count)),
        ("   total ", fmt.bound(group.total, group.at_least)),
        ("   worst ", fmt.bound(group.worst, group.at_least)),
        ("   mean ", fmt.bound(group.total / group.count if group.count else None, group.at_least)),
        ("   last ", when(group.last, store)),
    ]
    if group.now is not None and not group.count:
        figures = []
    summary = line(
        *[(text, style) for title, figure in figures for text, style in ((title, "dim"), (figure, "strong"))]
    )
    if group.line is None and group.now is not None:
        lines = [line(("A call that runs no Python code", "heading")), *_now(group), summary, BLANK]
    elif group.line is None:
        lines = [
            line(("Not caught in time", "heading")),
            line(("These ended before the watchdog saw them: their line is not known.", "dim")),
            summary,
            BLANK,
        ]
    else:
        lines = [
            line((line_text(group.line, store), "strong"), ("  in ", "dim"), (group.line.function, "text")),
            *_now(group),
            summary,
            BLANK,
            *sources.around(group.line.file, group.line.line, 4, 4),
            *changed_note([group.line], store, sources),
            BLANK,
        ]
    lines += _waited_for_the_gil(store, group, sources, cells)
    worst = max(group.callbacks, key=lambda slow: slow.duration, default=None)
    last = group.callbacks[-1] if group.callbacks else None
    if worst is not None and _has_reasons(worst):
        lines += [line(("The worst one: ", "dim"), (reasons_text(worst.reasons), "text")), BLANK]
    shown = last if last is not None and last.stack else worst
    if group.now is not None and group.now.block.stack:
        lines.append(heading("Stack while it blocks", cells, "now, outermost first"))
        lines += stack(group.now.block.stack, store, sources, cells)
        lines.append(BLANK)
    elif shown is not None and shown.stack:
        lines.append(heading("Stack while it blocked", cells, _caught(shown)))
        lines += stack(shown.stack, store, sources, cells, unfolded=unfolded)
        lines.append(BLANK)
    lines.append(heading(f"Last times ({len(group.callbacks)})", cells, "newest first; Enter opens the task"))
    longest = worst.duration if worst is not None else 1.0
    width = 7 if group.at_least else 6
    lines += [_occurrence(store, slow, longest, width) for slow in reversed(group.callbacks)]
    return lines


def _has_reasons(slow: SlowCallback) -> bool:
    """Whether something else than the code itself, another process or the GIL took time."""
    return bool(slow.io or slow.gc or slow.importing or slow.faulting or slow.throttled)


def _waited_for_the_gil(store: Store, group: BlockingLine, sources: Sources, cells: int) -> list[Line]:
    """The share of waiting for the GIL, and the stack of the thread that held it."""
    last = next((slow for slow in reversed(group.callbacks) if slow.gil), None)
    if last is None:
        return []
    summary = line(
        (fmt.duration(group.gil), "strong"), (" of it was waiting for the GIL; not the fault of this line", "text")
    )
    if last.held_by is None:
        return [summary, BLANK]
    title = heading("Who had the GIL", cells, f"the last time: {holder_text(last.held_by)}, outermost first")
    return [summary, BLANK, title, *stack(last.held_by.stack, store, sources, cells), BLANK]


def _now(group: BlockingLine) -> list[Line]:
    now = group.now
    if now is None:
        return []
    before = "  since before looptop attached" if now.block.at_least else ""
    return [
        line(
            ("blocks the loop now, for ", "bad"),
            (f"{'at least ' if now.block.at_least else ''}{fmt.duration(now.duration)}", "bad"),
            (f"{before}, in ", "dim"),
            (now.name, "strong"),
            target=None if now.task is None else ("task", now.task),
        )
    ]


def _caught(slow: SlowCallback) -> str:
    samples = f"{fmt.several(slow.samples, 'sample')}, " if slow.samples > 1 else ""
    return f"the last time, {samples}outermost first"


def _occurrence(store: Store, slow: SlowCallback, longest: float, width: int) -> Line:
    alive = slow.task is not None and slow.task in store.tasks
    whose = who(slow.task, slow.name, slow.callback, slow.label) or "a callback"
    return line(
        (f"{when(slow.at, store):>11}  ", "dim"),
        (f"{fmt.bound(slow.duration, slow.at_least):>{width}} ", delay_style(slow.duration)),
        (bar(slow.duration / longest if longest else 0.0, BAR), "bar"),
        ("  ", "text"),
        (whose, "strong"),
        ("" if slow.task is None or alive else ", ended", "dim"),
        target=None if slow.task is None else ("task", slow.task),
    )
