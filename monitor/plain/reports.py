"""What the one-shot commands print for people: lines of text from the store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from monitor import format as fmt
from monitor.attach.programs import Program
from monitor.plain.snapshot import Look
from monitor.plain.tables import Heading, of_columns, table
from monitor.store.columns import ENDED, TASKS
from monitor.store.model import Task
from monitor.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sample_apps.catalogue import Sample


def tasks(look: Look, width: int, colour: bool) -> list[str]:
    """What `looptop tasks` prints."""
    store = look.store
    headings = of_columns(TASKS, store)
    if look.depths:
        headings = [replace(h, text=_indented(h.text, look.depths)) if h.title == "Name" else h for h in headings]
    lines = heading_lines(store)
    lines += ["", *table(look.tasks, headings, width, colour)] if look.tasks else ["", _nothing(store)]
    if look.ended:
        lines += ["", *table(look.ended, of_columns(ENDED, store), width, colour)]
    left_out = len(store.tasks) - len(look.tasks)
    if left_out > 0 and look.tasks:
        lines += ["", f"{left_out} more live tasks"]
    return [*lines, *(f"note: {fmt.clean(notice.text)}" for notice in store.notices)]


def _nothing(store: Store) -> str:
    if not store.loops:
        return "no event loop has run yet"
    return "no task passes the filter" if store.tasks else "no tasks"


def _indented(text: Callable[[Task], str], depths: dict[int, int]) -> Callable[[Task], str]:
    return lambda task: "  " * min(depths.get(task.id, 0), 20) + text(task)


def heading_lines(store: Store) -> list[str]:
    """Who is watched, and how its loops do."""
    session = store.session
    lines = []
    if session is not None:
        name = f"  @{session.name}" if session.name else ""
        python = f"{session.implementation} {session.python}"
        lines.append(fmt.clean(f"{_short(session.program)}{name}  pid {session.pid}  {python}"))
    counts = store.counts()
    states = "  ".join(f"{number} {state}" for state, number in sorted(counts.items(), key=lambda pair: -pair[1]))
    lines.append(f"{len(store.tasks)} tasks: {states}" if counts else "0 tasks")
    for loop in store.loops.values():
        known = loop.busy is not None
        steps = f"  {fmt.rate(loop.steps_per_s)} steps/s" if loop.steps_per_s is not None else ""
        blocked = f"  blocked for {fmt.duration(loop.blocked)}" if loop.blocked >= 0.1 else ""
        lag = fmt.duration(loop.lag) if known else fmt.UNKNOWN
        utilization = fmt.percent(loop.utilization)
        lines.append(fmt.clean(f"loop {loop.id} {loop.kind}  lag {lag}  utilization {utilization}{steps}{blocked}"))
    return lines


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "…"


def programs(listed: Sequence[Program], width: int, colour: bool) -> list[str]:
    """What `looptop ps` prints."""
    if not listed:
        return ["no Python program is running here that you may see"]
    return table(listed, PROGRAMS, width, colour)


def _yes(value: bool | None) -> str:
    return fmt.UNKNOWN if value is None else "yes" if value else "no"


def _how(program: Program) -> str:
    if program.watchable:
        return program.todo
    return f"{program.reason}: {program.todo}" if program.todo else program.reason or ""


PROGRAMS: tuple[Heading[Program], ...] = (
    Heading("PID", lambda p: str(p.pid), right=True),
    Heading("Owner", lambda p: p.owner, priority=4),
    Heading("Name", lambda p: f"@{p.name}" if p.name else "", priority=2),
    Heading("Python", lambda p: p.python or fmt.UNKNOWN, priority=3),
    Heading("asyncio", lambda p: _yes(p.asyncio), priority=3),
    Heading("uvloop", lambda p: _yes(p.uvloop), priority=5),
    Heading("How to watch", _how),
    Heading("Command", lambda p: p.command),
)


def samples(listed: Sequence[Sample], width: int, colour: bool) -> list[str]:
    """What `looptop samples list` prints."""
    headings: list[Heading[Sample]] = [
        Heading("Name", lambda s: s.name),
        Heading("Topic", lambda s: s.topic, priority=3),
        Heading("Cure", lambda s: s.cure or "", priority=2),
        Heading("What it shows", lambda s: s.sentence),
    ]
    return table(listed, headings, width, colour)
