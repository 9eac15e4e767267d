"""Output of `looptop groups --waits`: what the tasks of a program waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.errors import UsageError
from monitor.plain.objects import Object, site_object
from monitor.plain.tables import Heading, table
from monitor.plain.why import collect, collected, notes_of
from monitor.trace.explain import line
from monitor.trace.wait_profile import wait_profile

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.trace.collect import Trace
    from monitor.trace.wait_profile import GroupWaits, WaitProfile, Waits
    from monitor.transport.connection import Connection

MOST_GROUPS = 10
MOST_WAITS = 12
MOST_OBJECTS = 10
HEADINGS: tuple[Heading[Waits], ...] = (
    Heading("Waited", lambda waits: fmt.duration(waits.duration / 1e9), True, 0),
    Heading("Count", lambda waits: fmt.count(waits.count), True, 2),
    Heading("Longest", lambda waits: fmt.duration(waits.longest / 1e9), True, 3),
    Heading("For", lambda waits: what(waits), False, 0),
    Heading("At", lambda waits: where(waits), False, 0),
)


def what(waits: Waits) -> str:
    """What was waited for, as text: its kind and name, and the number of an object that is the only one."""
    text = f"{waits.kind} {waits.name}".rstrip()
    if len(waits.objects) > 1:
        text += f" ({len(waits.objects)} of them)"
    return text


def where(waits: Waits) -> str:
    """The line, with its function."""
    return "" if waits.at is None else f"{line(waits.at)} {waits.at.function}"


def watched(connection: Connection, duration: float, past: bool) -> Trace:
    """The steps of a program during that many seconds."""
    return collect(connection, duration, past)


def recorded(path: Path) -> Trace:
    """The steps in a recording."""
    return collected(path)


def profile_of(trace: Trace, group: str = "") -> WaitProfile:
    """The waits of all groups, or of those with a name. Raises UsageError if there is no such group."""
    trace.name_live_tasks()
    profile = wait_profile(trace.timeline, trace.store, is_read=trace.is_read)
    if not group:
        return profile
    profile.groups = [one for one in profile.groups if group in (one.name, one.label, one.coro, _short(one.coro))]
    if not profile.groups:
        raise UsageError(f"no task of {group} waited meanwhile", "--duration watches for longer")
    return profile


def _short(coro: str) -> str:
    return coro.rpartition(".")[2]


def waits_object(trace: Trace, profile: WaitProfile) -> Object:
    """The object that `looptop groups --waits --json` prints."""
    return {
        "begin": profile.begin / 1e9,
        "end": profile.end / 1e9,
        "all": _group_object(profile.all),
        "groups": [_group_object(group) for group in profile.groups],
        "notes": notes_of(trace),
    }


def _group_object(group: GroupWaits) -> Object:
    return {
        "group": group.name or None,
        "coro": group.coro or None,
        "label": group.label,
        "tasks": group.tasks,
        "waited": group.duration / 1e9,
        "waits": [
            {
                "kind": waits.kind,
                "name": waits.name or None,
                "at": site_object(waits.at),
                "duration": waits.duration / 1e9,
                "count": waits.count,
                "longest": waits.longest / 1e9,
                "live": waits.live,
                "objects": len(waits.objects),
                "by_object": [
                    {"object": number, "duration": took / 1e9}
                    for number, took in sorted(waits.objects.items(), key=lambda one: -one[1])[:MOST_OBJECTS]
                ],
            }
            for waits in group.ordered()
        ],
    }


def waits_lines(profile: WaitProfile, group: str, width: int, colour: bool) -> list[str]:
    """What all tasks together waited for, then each group; or one group."""
    seconds = max(profile.end - profile.begin, 0) / 1e9
    sections = profile.groups if group else [profile.all, *profile.groups[:MOST_GROUPS]]
    if not profile.all.waits:
        return [f"Nothing waited in {fmt.duration(seconds)}."]
    out: list[str] = []
    for one in sections:
        name = one.name or "All tasks"
        many = fmt.several(one.tasks, "task")
        out += [f"{name}: waited {fmt.duration(one.duration / 1e9)} in {fmt.duration(seconds)}, {many}"]
        rows = one.ordered()
        out += table(rows[:MOST_WAITS], HEADINGS, width, colour)
        if len(rows) > MOST_WAITS:
            rest = sum(waits.duration for waits in rows[MOST_WAITS:])
            out.append(f"and {fmt.duration(rest / 1e9)} for {fmt.several(len(rows) - MOST_WAITS, 'other')}")
        out.append("")
    if not group and len(profile.groups) > MOST_GROUPS:
        out.append(f"and {len(profile.groups) - MOST_GROUPS} more groups (--json has them)")
    return out
