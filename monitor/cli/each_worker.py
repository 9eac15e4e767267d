"""Commands that print a section for each process of a set: they are asked at once, and printed in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from monitor.cli.target import Connector
from monitor.errors import NO_CONNECTION, ConnectError, LooptopError
from monitor.guard import say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from monitor.fleet.members import Member, Members
    from monitor.recording.of_set import Part, RecordedSet
    from monitor.transport.connection import Connection

Result = TypeVar("Result")


def print_each(
    members: Members,
    connect: Connector | Callable[[str], Connection],
    ask: Callable[[Connection], Result],
    takes: float,
    as_json: bool,
    thing: Callable[[Result], dict[str, Any]],
    lines: Callable[[Result, int, bool], Sequence[str]] | None,
    together: Callable[[dict[int, Result], int, bool], Sequence[str]] | None = None,
) -> int:
    """Ask each process through a connection of its own; `takes` is how long an answer takes at least, in seconds.

    The text has a section for each, or, with `together`, is one of all answers by slot.

    JSON is `{"processes": [{"pid", "worker", "problem", …}]}` with the keys of `thing`. Status 3: none answered.
    """
    from monitor.fleet.each import each

    there = members.scan()
    if isinstance(connect, Connector):
        found = each(there, lambda one: ask(connect.first(one.target)), takes, lambda one: connect.entering(one.target))
    else:
        found = each(there, lambda one: ask(connect(one.target)), takes)
    return _print(there, found, as_json, thing, lines, together)


def answers(
    members: Members, connect: Connector, ask: Callable[[Connection], Result], takes: float
) -> tuple[list[Member], dict[int, Result]]:
    """Ask each process; return those that answered, and the answers by slot. Raises ConnectError if none did."""
    from monitor.fleet.each import each

    there = members.scan()
    found = each(there, lambda one: ask(connect.first(one.target)), takes, lambda one: connect.entering(one.target))
    answered = {slot: one for slot, one in found.items() if not isinstance(one, LooptopError)}
    for member in there:
        if member.worker not in answered:
            say(f"worker {member.worker}: {found[member.worker]}")
    if not answered:
        raise ConnectError("no process of the set answered", "looptop ps lists what runs here")
    return [member for member in there if member.worker in answered], answered


def print_recorded(
    recorded: RecordedSet,
    at: str | None,
    read: Callable[[Path, float | None], Result],
    as_json: bool,
    thing: Callable[[Result], dict[str, Any]],
    lines: Callable[[Result, int, bool], Sequence[str]] | None,
    together: Callable[[dict[int, Result], int, bool], Sequence[str]] | None = None,
) -> int:
    """The same of a recorded set, at a time or at its end: `read` is called with a file and a Unix time."""
    moment = None if at is None else recorded.moment(at)
    there = recorded.at(moment)
    found: dict[int, Result | LooptopError] = {}
    for part in there:
        try:
            found[part.worker] = read(part.path, moment)
        except LooptopError as error:
            found[part.worker] = error
    return _print(there, found, as_json, thing, lines, together)


def _print(
    there: Sequence[Member | Part],
    found: dict[int, Result | LooptopError],
    as_json: bool,
    thing: Callable[[Result], dict[str, Any]],
    lines: Callable[[Result, int, bool], Sequence[str]] | None,
    together: Callable[[dict[int, Result], int, bool], Sequence[str]] | None,
) -> int:
    from monitor.cli.output import print_object

    answered = {slot: one for slot, one in found.items() if not isinstance(one, LooptopError)}
    for member in there:
        if member.worker not in answered:
            say(f"worker {member.worker}: {found[member.worker]}")

    def objects() -> dict[str, Any]:
        listed = []
        for member in there:
            good = member.worker in answered
            problem = None if good else str(found[member.worker])
            facts = thing(answered[member.worker]) if good else {}
            listed.append({"pid": member.pid, "worker": member.worker, "problem": problem, **facts})
        return {"processes": listed}

    def sections(width: int, colour: bool) -> list[str]:
        if together is not None:
            return list(together(answered, width, colour)) if answered else []
        texts: list[str] = []
        assert lines is not None
        for member in there:
            if member.worker in answered:
                texts += [
                    f"worker {member.worker} ({member.target})",
                    *lines(answered[member.worker], width, colour),
                    "",
                ]
        return texts[:-1]

    print_object(as_json, objects, sections)
    return 0 if answered else NO_CONNECTION
