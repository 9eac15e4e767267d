"""Output of one-shot commands as lines of text, from the store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from monitor import formatting as fmt
from monitor.plain.snapshot import TaskList
from monitor.plain.tables import Heading, of_columns, table
from monitor.store.blocked import blocker, lasted
from monitor.store.columns import ENDED, TASKS
from monitor.store.labels import site_text
from monitor.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.store.model import Loop

Row = TypeVar("Row")

LITTLE = 0.1
"""Seconds; a loop blocked for less is not reported."""


def tasks(look: TaskList, width: int, colour: bool) -> list[str]:
    """The lines that `looptop tasks` prints."""
    store = look.store
    headings = of_columns(TASKS, store)
    if look.depths:
        depth = lambda task: look.depths.get(task.id, 0)  # noqa: E731 - it is given to another function
        headings = [in_tree(heading, depth) if heading.title == "Name" else heading for heading in headings]
    lines = heading_lines(store)
    if look.of_awaiters:
        lines.append("tasks older than the probe are below a task that awaits them: their parents are not known")
    if look.tasks and look.stacks:
        from monitor.plain import await_stacks

        lines += ["", *await_stacks.lines(store, look.tasks, look.depths, width)]
    elif look.tasks:
        lines += ["", *table(look.tasks, headings, width, colour)]
    elif not look.passed:
        lines += ["", _nothing(store)]
    if look.ended:
        lines += ["", *table(look.ended, of_columns(ENDED, store), width, colour)]
    left_out = look.passed - len(look.tasks)
    if left_out > 0:
        lines += ["", fmt.of_many(left_out, "more live task")]
    return [*lines, *(f"note: {fmt.clean(notice.text)}" for notice in store.notices)]


def _nothing(store: Store) -> str:
    if not store.loops:
        return "no event loop has run yet"
    return "no task passes the filter" if store.tasks else "no tasks"


def in_tree(name: Heading[Row], depth: Callable[[Row], int]) -> Heading[Row]:
    """The heading of the names, which are indented by how deep in the tree each row is."""
    text = name.text
    return replace(name, text=lambda row: "  " * min(depth(row), 20) + text(row))


def heading_lines(store: Store) -> list[str]:
    """The watched program, and a line for each loop."""
    session = store.session
    lines = []
    if session is not None:
        name = f"  @{session.name}" if session.name else ""
        python = f"{session.implementation} {session.python}"
        lines.append(fmt.clean(f"{_short(session.program)}{name}  pid {session.pid}  {python}"))
        if session.read_only:
            lines.append(fmt.clean(f"{session.hooks}; times and counts are not known, the tree is of awaiting tasks"))
    counts = store.tasks.states()
    states = "  ".join(f"{number} {state}" for state, number in sorted(counts.items(), key=lambda pair: -pair[1]))
    number = len(store.tasks)
    lines.append(f"{fmt.of_many(number, 'task')}: {states}" if counts else "0 tasks")
    for loop in store.loops.values():
        known = loop.busy is not None
        steps = f"  {fmt.rate(loop.steps_per_s)} steps/s" if loop.steps_per_s is not None else ""
        blocked = _blocked(store, loop) if loop.blocked >= LITTLE else ""
        lag = fmt.duration(loop.lag) if known else fmt.UNKNOWN
        utilization = fmt.percent(loop.utilization)
        lines.append(fmt.clean(f"loop {loop.id} {loop.kind}  lag {lag}  utilization {utilization}{steps}{blocked}"))
    return lines


def _blocked(store: Store, loop: Loop) -> str:
    line = loop.block.line if loop.block is not None else None
    at = f" at {site_text(line, store)}" if line is not None else ""
    return f"  blocked for {lasted(loop)}{at} by {blocker(store, loop)}"


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "…"
