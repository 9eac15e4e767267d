"""Output of `looptop ps`: the programs on this machine as a tree, and why some cannot be watched."""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.attach.find import user_name
from monitor.attach.programs import Program
from monitor.attach.watchability import READ_ONLY
from monitor.plain.tables import Heading, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def programs(
    listed: Sequence[Program], width: int, colour: bool, slots: Mapping[int | None, int] | None = None
) -> list[str]:
    """The lines of `looptop ps`: the tree, and below it why some programs cannot be watched, or only partly.

    `slots`: of a set, the worker that each pid is.
    """
    if not listed:
        return ["no Python programs visible to you"]
    used = [heading for heading in PROGRAMS if any(heading.text(program) for program in listed)]
    if {program.owner for program in listed} == {user_name(os.geteuid())}:
        used = [heading for heading in used if heading.title != "Owner"]
    if slots is not None:
        used.insert(0, Heading("Worker", lambda program: str(slots[program.pid]), right=True))
    lines = table(listed, used, width, colour)
    reasons = by_reason(listed)
    if reasons:
        lines.append("")
    for why, those in reasons:
        lines += textwrap.wrap(f"{_pids(those)}: {why}", max(width, 40), subsequent_indent="    ")
    return lines


def by_reason(listed: Sequence[Program]) -> list[tuple[str, list[Program]]]:
    """Reasons why programs cannot be watched, or only partly, each with the programs it applies to."""
    found: dict[str, list[Program]] = {}
    for program in listed:
        if program.reason is not None:
            found.setdefault(reason_of(program), []).append(program)
    return list(found.items())


def reason_of(program: Program) -> str:
    """Why a program cannot be watched, or only partly, and a hint; empty if it can."""
    if program.reason is None:
        return ""
    known = "read-only, because: " if program.how == READ_ONLY else ""
    what = f": {program.todo}" if program.todo else ""
    return fmt.clean(f"{known}{program.reason}{what}")


def _pids(those: Sequence[Program]) -> str:
    """At most a dozen pids, because hundreds of programs may share a reason."""
    shown = ", ".join(str(program.pid) for program in those[:12])
    return shown if len(those) <= 12 else f"{shown} and {len(those) - 12} more"


def loop_kind(program: Program) -> str:
    """The loop implementation that is loaded."""
    return program.loop or ("none" if program.asyncio is False else fmt.UNKNOWN)


def listens(program: Program) -> str:
    """The addresses on which it listens."""
    if program.ports is None:
        return fmt.UNKNOWN
    return " ".join(port.removeprefix("*") for port in program.ports[:3]) + (" …" if len(program.ports) > 3 else "")


def branch(program: Program) -> str:
    """The tree branch drawn before a program."""
    return "  " * (min(program.depth, 8) - 1) + "└ " if program.depth else ""


PROGRAMS: tuple[Heading[Program], ...] = (
    Heading("PID", lambda p: str(p.pid), right=True),
    Heading("Owner", lambda p: p.owner, priority=4),
    Heading("Name", lambda p: f"@{p.name}" if p.name else "", priority=2),
    Heading("Python", lambda p: p.python or fmt.UNKNOWN, priority=3),
    Heading("Loop", loop_kind, priority=3),
    Heading("Listens", listens, priority=3),
    Heading("CPU mean", lambda p: "" if p.cpu is None else fmt.percent(p.cpu), right=True, priority=3),
    Heading("RSS", lambda p: "" if p.rss is None else fmt.size(p.rss), right=True, priority=3),
    Heading("Watch", lambda p: "armed" if p.armed else p.how or "no"),
    Heading("Program", lambda p: branch(p) + p.title),
)
