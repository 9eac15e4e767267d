"""Commands that ask one thing of a TARGET: a program, a recording, or a set of either, and print the answer.

Of a set all processes are asked at once; the answers are printed in order, in a section for each.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from monitor import early_end
from monitor.cli.output import print_object
from monitor.cli.target import Connector, connect, only_recorded, recorded_set, recording_of, set_of
from monitor.errors import NO_CONNECTION, ConnectError, LooptopError
from monitor.guard import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from monitor.attach.injector import Injector
    from monitor.fleet.members import Member, Members
    from monitor.recording.of_set import Part, RecordedSet
    from monitor.transport.connection import Connection

Result = TypeVar("Result")


def print_answer(
    targets: tuple[str, ...],
    token_file: str | None,
    at: str | None,
    as_json: bool,
    *,
    ask: Callable[[Connection], Result],
    takes: float,
    read: Callable[[Path, str | float | None], Result],
    thing: Callable[[Result], dict[str, Any]],
    lines: Callable[[Result, int, bool], Sequence[str]],
    together: Callable[[dict[int, Result], int, bool], Sequence[str]] | None = None,
    notes: Callable[[Result], Iterable[str]] | None = None,
    inject: bool = True,
    before_reading: Callable[[], object] | None = None,
) -> int:
    """Ask each program of the TARGETs, or read it from its recording, and print the answer; returns the exit status.

    `ask` takes at least `takes` seconds. `read` is called with a file, and a time as typed or a Unix time; before it
    `before_reading`, which raises UsageError for options that no recording takes. JSON has the keys of `thing`.
    Text of a set has a section for each process, or, with `together`, is one of all answers by slot.
    `notes` of the answer of a single program are printed to stderr. `inject`: put a probe in where there is none.
    """
    recorded = recorded_set(targets)
    if recorded is not None:
        if before_reading is not None:
            before_reading()
        return _print_recorded(recorded, at, read, as_json, thing, lines, together)
    members = set_of(targets)
    if members is not None:
        only_recorded(at)
        opened = Connector(token_file) if inject else partial(connect, token_file=token_file)
        return _print_each(members, opened, ask, takes, as_json, thing, lines, together)
    path = recording_of(targets[0], at)
    if path is not None:
        if before_reading is not None:
            before_reading()
        answer = read(path, at)
    else:
        answer = ask(connect(targets[0], token_file, _injector() if inject else None))
    for note in notes(answer) if notes is not None else ():
        say(note)
    print_object(as_json, lambda: thing(answer), lambda width, colour: lines(answer, width, colour))
    return 0


def _injector() -> Injector:
    from monitor.attach.injector import Injector

    return Injector(notify=say)


def _print_each(
    members: Members,
    connect: Connector | Callable[[str], Connection],
    ask: Callable[[Connection], Result],
    takes: float,
    as_json: bool,
    thing: Callable[[Result], dict[str, Any]],
    lines: Callable[[Result, int, bool], Sequence[str]],
    together: Callable[[dict[int, Result], int, bool], Sequence[str]] | None = None,
) -> int:
    """Ask each process through a connection of its own."""
    there = members.scan()
    found = _ask_each(there, connect, ask, takes)
    return _print(there, found, as_json, thing, lines, together)


def answers(
    members: Members, connect: Connector, ask: Callable[[Connection], Result], takes: float
) -> tuple[list[Member], dict[int, Result]]:
    """Ask each process; return those that answered, and the answers by slot. Raises ConnectError if none did."""
    there = members.scan()
    answered = _answered(there, _ask_each(there, connect, ask, takes))
    if not answered:
        raise ConnectError("no process of the set answered", "looptop ps lists what runs here")
    return [member for member in there if member.worker in answered], answered


def _ask_each(
    there: Sequence[Member],
    connect: Connector | Callable[[str], Connection],
    ask: Callable[[Connection], Result],
    takes: float,
) -> dict[int, Result | LooptopError]:
    """The answers by slot, or why there is none. Ctrl-C ends the asking early."""
    from monitor.fleet.each import each

    with early_end.possible():
        if isinstance(connect, Connector):
            entering = connect.entering
            return each(there, lambda one: ask(connect.first(one.target)), takes, lambda one: entering(one.target))
        return each(there, lambda one: ask(connect(one.target)), takes)


def _answered(there: Sequence[Member | Part], found: dict[int, Result | LooptopError]) -> dict[int, Result]:
    """The answers by slot; says why the others gave none."""
    answered = {slot: one for slot, one in found.items() if not isinstance(one, LooptopError)}
    for member in there:
        if member.worker not in answered:
            say(f"worker {member.worker}: {found[member.worker]}")
    return answered


def _print_recorded(
    recorded: RecordedSet,
    at: str | None,
    read: Callable[[Path, str | float | None], Result],
    as_json: bool,
    thing: Callable[[Result], dict[str, Any]],
    lines: Callable[[Result, int, bool], Sequence[str]],
    together: Callable[[dict[int, Result], int, bool], Sequence[str]] | None = None,
) -> int:
    """Read each recording of a set, at a time or at its end."""
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
    lines: Callable[[Result, int, bool], Sequence[str]],
    together: Callable[[dict[int, Result], int, bool], Sequence[str]] | None,
) -> int:
    """Print the answers as JSON, `{"processes": [{"pid", "worker", "problem", …}]}`, or as text. Status 3: none."""
    answered = _answered(there, found)

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
