"""`looptop why` of several programs: the slowest tasks of all, each with its process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from monitor.errors import UsageError
from monitor.plain import why as one_program
from monitor.trace.explain import group_object, group_text, reason_object, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.plain.why import WhyOptions
    from monitor.trace.collect import Trace
    from monitor.trace.explain import Reason

Whose = tuple[int, "int | None"]
"""Slot and pid of a process."""


@dataclass(slots=True)
class WhyOfAll:
    """Why tasks were late, the slowest of all processes first."""

    reasons: list[tuple[Whose, Reason]]
    group: str = ""
    """The group that was asked for: then its tasks are summed up as well."""
    notes: list[str] = field(default_factory=list)


def why(traces: Sequence[tuple[Whose, Trace]], options: WhyOptions) -> WhyOfAll:
    """Why the slowest tasks of several processes were late: of live ones only if none ended in any process.

    Raises UsageError for a group that is in no process.
    """
    found, missing = [], None
    for whose, trace in traces:
        try:
            found.append((whose, one_program.why(trace, options)))
        except UsageError as error:  # this process has no task of the group
            missing = error
    if missing is not None and not found:
        raise missing
    if any(reason.life.ended is not None for _, one in found for reason in one.reasons):
        found = [
            (whose, one)
            for whose, one in found
            if one.reasons and all(reason.life.ended is not None for reason in one.reasons)
        ]
    reasons = [(whose, reason) for whose, one in found for reason in one.reasons]
    reasons.sort(key=lambda pair: -pair[1].age)
    notes = [f"worker {whose[0]}: {note}" for whose, one in found for note in one.notes]
    return WhyOfAll(reasons[: options.slowest], options.group, notes)


def why_object(found: WhyOfAll) -> dict[str, Any]:
    """The object that `looptop why --json` prints for a set."""
    tasks = [{"pid": pid, "worker": worker, **reason_object(reason)} for (worker, pid), reason in found.reasons]
    slowest = [reason for _, reason in found.reasons]
    together = {"group": group_object(found.group, slowest)} if found.group and slowest else {}
    return {**together, "tasks": tasks, "notes": found.notes}


def why_lines(found: WhyOfAll, _width: int, _colour: bool) -> list[str]:
    """The lines that `looptop why` prints for a set."""
    slowest = [reason for _, reason in found.reasons]
    out = group_text(found.group, slowest) if found.group and len(slowest) > 1 else []
    for (worker, pid), reason in found.reasons:
        if out:
            out.append("")
        out += [f"worker {worker} ({pid})", *text_of(reason)]
    return out
