"""What the one-shot commands print for people: lines of text from the store."""

from __future__ import annotations

import os
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

from monitor import format as fmt
from monitor.attach.access import READ_ONLY
from monitor.attach.find import user_name
from monitor.attach.programs import Program
from monitor.plain.snapshot import Look
from monitor.plain.tables import Heading, of_columns, table
from monitor.store.columns import ENDED, TASKS
from monitor.store.model import Task
from monitor.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def tasks(look: Look, width: int, colour: bool) -> list[str]:
    """What `looptop tasks` prints."""
    store = look.store
    headings = of_columns(TASKS, store)
    if look.depths:
        headings = [_in_tree(heading, look.depths) if heading.title == "Name" else heading for heading in headings]
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


def _in_tree(name: Heading[Task], depths: dict[int, int]) -> Heading[Task]:
    without = name.without and (name.without[0], _indented(name.without[1], depths))
    return replace(name, text=_indented(name.text, depths), without=without)


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
        if session.read_only:
            lines.append(fmt.clean(f"{session.hooks}; times and counts are not known, a tree is of who awaits whom"))
    counts = store.counts()
    states = "  ".join(f"{number} {state}" for state, number in sorted(counts.items(), key=lambda pair: -pair[1]))
    number = len(store.tasks)
    lines.append(f"{number} task{'' if number == 1 else 's'}: {states}" if counts else "0 tasks")
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
    """What `looptop ps` prints: the programs as a tree, and below them why some can not be watched, or not fully."""
    if not listed:
        return ["no Python program is running here that you may see"]
    used = [heading for heading in PROGRAMS if any(heading.text(program) for program in listed)]
    if {program.owner for program in listed} == {user_name(os.geteuid())}:
        used = [heading for heading in used if heading.title != "Owner"]
    lines = table(listed, used, width, colour)
    reasons = by_reason(listed)
    if reasons:
        lines.append("")
    for why, those in reasons:
        lines += textwrap.wrap(f"{_pids(those)}: {why}", max(width, 40), subsequent_indent="    ")
    return lines


def by_reason(listed: Sequence[Program]) -> list[tuple[str, list[Program]]]:
    """What keeps programs from being watched, or from being watched fully, and which ones each time."""
    found: dict[str, list[Program]] = {}
    for program in listed:
        if program.reason is not None:
            found.setdefault(reason_of(program), []).append(program)
    return list(found.items())


def reason_of(program: Program) -> str:
    """Why a program can not be watched, or not fully, and what to do. Empty for one that can."""
    if program.reason is None:
        return ""
    known = "read-only, because: " if program.how == READ_ONLY else ""
    what = f": {program.todo}" if program.todo else ""
    return fmt.clean(f"{known}{program.reason}{what}")


def _pids(those: Sequence[Program]) -> str:
    """At most a dozen pids: a machine may have hundreds of the same kind."""
    shown = ", ".join(str(program.pid) for program in those[:12])
    return shown if len(those) <= 12 else f"{shown} and {len(those) - 12} more"


def loop_kind(program: Program) -> str:
    """Which loop, by what is loaded."""
    return program.loop or ("none" if program.asyncio is False else fmt.UNKNOWN)


def listens(program: Program) -> str:
    """Where it listens."""
    if program.ports is None:
        return fmt.UNKNOWN
    return " ".join(port.removeprefix("*") for port in program.ports[:3]) + (" …" if len(program.ports) > 3 else "")


def branch(program: Program) -> str:
    """How deep in the tree, drawn."""
    return "  " * (min(program.depth, 8) - 1) + "└ " if program.depth else ""


PROGRAMS: tuple[Heading[Program], ...] = (
    Heading("PID", lambda p: str(p.pid), right=True),
    Heading("Owner", lambda p: p.owner, priority=4),
    Heading("Name", lambda p: f"@{p.name}" if p.name else "", priority=2),
    Heading("Python", lambda p: p.python or fmt.UNKNOWN, priority=3),
    Heading("Loop", loop_kind, priority=3),
    Heading("Listens", listens, priority=3),
    Heading("Watch", lambda p: p.how or "no"),
    Heading("Program", lambda p: branch(p) + p.title),
)
