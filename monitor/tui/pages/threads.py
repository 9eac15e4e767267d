"""What is above the table of threads, and the page of one thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.store.task_names import title
from monitor.store.threads import place
from monitor.tui.base.paint import BLANK, Line, Part, line
from monitor.tui.pages.stacks import heading, stack

if TYPE_CHECKING:
    from collections.abc import Container, Hashable

    from monitor.store.store import Store
    from monitor.store.threads import Thread, Threads
    from monitor.tui.widgets.source_view import Sources

Parts = tuple[Part, ...]

HIGH = 0.5
"""Share of a processor from which on threads without a loop are pointed at."""


def summary(threads: Threads, store: Store) -> list[Parts]:
    """Two lines: CPU of all threads, of those with a loop, of the others; the busiest of the others."""
    if not threads.rows:
        return [(("", "text"),), (("", "text"),)]
    others = threads.cpu - threads.cpu_of_loops
    known = threads.seconds > 0  # shares are of the time between two looks

    def share(value: float) -> str:
        return fmt.percent(value if known else None)

    number = len(threads.rows) + threads.more
    first: Parts = (
        (" CPU ", "dim"),
        (share(threads.cpu), "strong"),
        ("  threads with a loop ", "dim"),
        (share(threads.cpu_of_loops), "strong"),
        ("  others ", "dim"),
        (share(others), "warn" if others >= HIGH else "strong"),
        (f"  {fmt.several(number, 'thread')}" + (f", {threads.more} not shown" if threads.more else ""), "dim"),
    )
    age = threads.age(store.now)
    if age is not None:
        first = (*first, (f"  seen {fmt.duration(age)} ago", "dim"))
    busiest = threads.busiest_other()
    if busiest is None or others < HIGH or (busiest.cpu or 0.0) < others / 4:
        return [first, (("", "text"),)]
    where = place(busiest.at, store.roots)
    second: Parts = (
        (" most of it outside the loop: ", "dim"),
        (busiest.facts.name, "warn"),
        (f" {fmt.percent(busiest.cpu)}", "warn"),
        (f"  {where}" if where else "  no line of Python", "text"),
    )
    task = None if busiest.facts.job is None else busiest.facts.job.task
    if task is not None:
        second = (*second, ("  for ", "dim"), (title(task.id, task.name, task.coro), "strong"))
    return [first, second]


def thread_page(
    thread: Thread, store: Store, sources: Sources, cells: int, unfolded: Container[Hashable] = ()
) -> list[Line]:
    """Builds the page: figures, the job and who asked for it, the stack with its source."""
    facts = thread.facts
    figures = [("id ", str(facts.native)), ("   state ", facts.state)]
    figures += [
        ("   CPU ", fmt.percent(thread.cpu)),
        ("   GIL ", fmt.percent(thread.gil)),
        ("   ready without a processor ", fmt.percent(thread.queued)),
    ]
    kind = "a daemon" if facts.daemon else "not one of Python" if facts.ident is None else ""
    lines = [
        line((facts.name, "strong"), *([(f"  {kind}", "dim")] if kind else [])),
        line(*[(text, style) for title, figure in figures for text, style in ((title, "dim"), (figure, "strong"))]),
    ]
    if thread.loop is not None:
        lines.append(line(("runs loop ", "dim"), (str(thread.loop), "strong"), *_utilization(thread)))
    if facts.job is not None:
        lines += [BLANK, heading("Job", cells)]
        where = "" if thread.job is None else f"  {place(thread.job, store.roots)}"
        lines.append(line((facts.job.function, "strong"), (where, "dim")))
        task = facts.job.task
        if task is not None:
            target = None if task.id is None else ("task", task.id)
            who = title(task.id, task.name, task.coro)
            lines.append(line(("asked for by ", "dim"), (who, "strong"), target=target))
    lines += [BLANK, heading("Stack", cells, "outermost first")]
    if not thread.stack:
        return [*lines, line(("No Python frames: a thread of C code, or one of a free-threaded build.", "dim"))]
    marked = facts.at if 0 <= facts.at < len(thread.stack) else None
    return lines + stack(thread.stack, store, sources, cells, marked, unfolded=unfolded)


def _utilization(thread: Thread) -> list[tuple[str, str]]:
    return [("   utilization ", "dim"), (fmt.percent(thread.utilization), "strong")]
