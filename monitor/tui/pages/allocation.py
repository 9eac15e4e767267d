"""The page of one allocation site: its growth, source, tracebacks, and the tasks that run there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.store.columns import GLYPHS
from monitor.store.memory_columns import place as place_name
from monitor.store.memory_columns import signed
from monitor.store.task_names import is_given, title_of
from monitor.tui.base.paint import BLANK, Line, line
from monitor.tui.base.theme import STATE_STYLES
from monitor.tui.pages.stacks import changed_note, heading, is_library, stack
from monitor.tui.rows.memory import trend

if TYPE_CHECKING:
    from collections.abc import Container, Hashable

    from monitor.store.memory import MemoryRow, Place
    from monitor.store.model import Site, Task
    from monitor.store.store import Store
    from monitor.tui.widgets.source_view import Sources

MOST_TASKS = 40
MOST_TRACEBACKS = 5
TREND = 48


def allocation_page(
    store: Store,
    place: Place,
    group: str,
    sources: Sources,
    cells: int,
    asked: int,
    unfolded: Container[Hashable] = (),
) -> list[Line]:
    """Builds the page. `asked`: the number of tasks whose await stacks were requested, or 0."""
    site = place[-1]
    look = store.memory.snapshots.get(group)
    row = next((row for row in look.rows if row.place == place), None) if look is not None else None
    lines = [line((place_name(site, store), "strong")), *_figures(store, row), BLANK]
    lines += _source(store, site, sources)
    lines += _tracebacks(store, place, sources, cells, unfolded)
    lines += _tasks(store, site, cells, asked)
    return lines


def _figures(store: Store, row: MemoryRow | None) -> list[Line]:
    if row is None:
        return [line(("not among the rows of the last snapshot", "dim"))]
    sizes = store.memory.sizes(row.place)
    return [
        line(
            ("size ", "dim"),
            (fmt.size(row.size), "strong"),
            (f"  {signed(row.size_diff)}", "warn" if row.size_diff > 0 else "text"),
            ("   blocks ", "dim"),
            (f"{row.count:,}", "strong"),
            (f"  {row.count_diff:+,}", "text"),
            ("   per minute ", "dim"),
            (signed(row.growth), "warn" if (row.growth or 0) > 0 else "text"),
        ),
        line(
            (trend(sizes, TREND), "bar"),
            (f"  {fmt.size(min(sizes))} to {fmt.size(max(sizes))} in {len(sizes)} snapshots" if sizes else "", "dim"),
        ),
    ]


def _source(store: Store, site: Site, sources: Sources) -> list[Line]:
    if not site.line:
        return [line((site.file, "dim")), BLANK]
    return [*sources.around(site.file, site.line, 4, 4), *changed_note([site], store, sources), BLANK]


def _tracebacks(store: Store, place: Place, sources: Sources, cells: int, unfolded: Container[Hashable]) -> list[Line]:
    """The tracebacks that lead to the site, largest growth first; none with one frame per block."""
    if len(place) > 1:
        lines = [heading("Allocation traceback", cells, "outermost first")]
        return [*lines, *stack(place, store, sources, cells, len(place) - 1, unfolded=unfolded), BLANK]
    look = store.memory.snapshots.get("traceback")
    kept = look.frames if look is not None else store.memory.tracing.frames if store.memory.tracing else 1
    if kept < 2:
        note = "one frame per block is kept: trace with more frames to see the traceback"
        return [heading("Allocation traceback", cells), line((note, "dim")), BLANK]
    site = place[-1]
    rows = [] if look is None else [row for row in look.rows if _leads_to(row.place, site)]
    if not rows:
        asked = "asking …" if look is None else "none among the largest tracebacks"
        return [heading("Allocation traceback", cells), line((asked, "dim")), BLANK]
    rows.sort(key=lambda row: -abs(row.size_diff))
    lines = []
    for number, row in enumerate(rows[:MOST_TRACEBACKS], 1):
        title = "Allocation traceback" if len(rows) == 1 else f"Allocation traceback {number} of {len(rows)}"
        lines.append(heading(title, cells, f"{signed(row.size_diff)} in {row.count_diff:+,} blocks, outermost first"))
        lines += [*stack(row.place, store, sources, cells, unfolded=unfolded), BLANK]
    return lines


def _leads_to(place: Place, site: Site) -> bool:
    return any(frame.file == site.file and site.line in (0, frame.line) for frame in place)


def _tasks(store: Store, site: Site, cells: int, asked: int) -> list[Line]:
    """Live tasks that were created in this file or wait in it."""
    title = "Tasks of this file"
    if is_library(site, store):
        note = "created there, or with an await stack through it"
    else:
        note = "created in it, or with an await stack through it"
    found: list[tuple[Task, str]] = []
    for task in store.tasks.values():
        detail = store.details.get(task.id)
        lines = [frame.line for frame in detail.await_stack if frame.file == site.file] if detail is not None else []
        if lines:
            found.append((task, f"waits through line {lines[-1]}"))
        elif task.site is not None and task.site.file == site.file:
            found.append((task, f"created at line {task.site.line}"))
    result = [heading(f"{title} ({len(found)})" if found else title, cells, note)]
    if asked and asked < len(store.tasks):
        result.append(line((f"await stacks of the {asked} busiest of {len(store.tasks)} tasks", "dim")))
    found.sort(key=lambda entry: (not entry[1].startswith("waits"), -entry[0].busy))
    result += [_task_line(task, why) for task, why in found[:MOST_TASKS]]
    if not found:
        result.append(line(("none alive", "dim")))
    elif len(found) > MOST_TASKS:
        result.append(line((f"… and {len(found) - MOST_TASKS} more", "dim")))
    return [*result, BLANK]


def _task_line(task: Task, why: str) -> Line:
    return line(
        (f"{GLYPHS[task.state_name]} {task.state_name:<10}", STATE_STYLES[task.state_name]),
        (title_of(task), "strong"),
        (f"  {task.coro}" if task.label or is_given(task.name) else "", "text"),
        (f"  {why}", "dim"),
        (f"  busy {fmt.duration(task.busy)}", "dim"),
        target=("task", task.id),
    )
