"""`looptop attach`, `detach` and `ps`: programs that are already running."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from monitor.cli.output import json_option, print_lines, print_object, print_programs
from monitor.cli.target import (
    Connector,
    connect,
    locals_option,
    open_dashboard,
    read_only_option,
    remote_options,
    set_of,
    target_argument,
    targets_argument,
    token_option,
)
from monitor.cli.tasks import print_tasks, print_tasks_of_all
from monitor.cli.via import commands_given
from monitor.errors import NO_CONNECTION, ConnectError, LooptopError, UsageError
from monitor.guard import say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.attach.boxes import Box
    from monitor.attach.injector import Injector
    from monitor.attach.programs import Program
    from monitor.fleet.members import Member, Members
    from monitor.transport.connection import Connection


@click.command()
@targets_argument
@click.option(
    "--method",
    type=click.Choice(("auto", "remote_exec", "ptrace", "gdb")),
    default="auto",
    help="How to inject the probe (auto).",
)
@click.option("--timeout", type=click.FloatRange(0.1, 60), default=5.0, metavar="S", help="Timeout for attaching (5).")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and why.")
@click.option("--force", is_flag=True, help="Attach even if remote debugging is off, or seccomp may kill the program.")
@click.option("--stay", is_flag=True, help="Leave the probe in when the last viewer leaves.")
@read_only_option
@locals_option
@remote_options
@token_option
def attach(
    targets: tuple[str, ...],
    method: str,
    timeout: float,
    dry_run: bool,
    force: bool,
    stay: bool,
    read_only: bool,
    keep_locals: bool,
    token_file: str | None,
) -> int:
    """Open the dashboard on a running program, whether it was started with looptop or not.

    The probe is injected, and removed when the last viewer leaves. If injection is not possible, the
    tasks are read from outside, if the program's Python allows that; --read-only does only that.
    Of several programs (several TARGETs, a shared name, the pid of a server with workers) it shows all first.
    """
    from dataclasses import replace

    from monitor import terminal
    from monitor.attach.injector import Injector
    from monitor.attach.target_connector import TargetConnector
    from monitor.plain.task_options import TaskOptions

    injector = Injector(method, timeout, force, stay, say)
    members = None if dry_run else set_of(targets)
    if members is not None:
        return _attach_all(targets, members, token_file, injector, read_only)
    (target, *others) = targets
    if others:
        raise UsageError("--dry-run is for one pid", "looptop attach PID --dry-run")
    if dry_run:
        click.echo(_plan(target, injector, read_only))
        return 0
    decision = terminal.decide_here()
    if not isinstance(decision, terminal.Tui):
        say(f"{decision.reason}: printing a table instead")
        connector = TargetConnector(target, token_file, injector, read_only)
        return print_tasks(connector.connect(), TaskOptions(), as_json=False)
    return open_dashboard(
        TargetConnector(target, token_file, replace(injector, meanwhile=_load_screens), read_only), keep_locals
    )


def _attach_all(
    targets: tuple[str, ...], members: Members, token_file: str | None, injector: Injector, read_only: bool
) -> int:
    """Show all programs of a set; without a terminal print their tasks."""
    from dataclasses import replace

    from monitor import terminal
    from monitor.plain.task_options import TaskOptions

    decision = terminal.decide_here()
    if not isinstance(decision, terminal.Tui):
        say(f"{decision.reason}: printing a table instead")
        return print_tasks_of_all(members, Connector(token_file, read_only, injector), TaskOptions(), as_json=False)
    from monitor.cli.service import open_service

    return open_service(members, Connector(token_file, read_only, replace(injector, notify=None)), " ".join(targets))


def _load_screens() -> None:
    """Import Textual, which takes longer than the injection that runs meanwhile."""
    import monitor.tui.app  # noqa: F401 - used later


def _plan(target: str, injector: Injector, read_only: bool) -> str:
    """How looptop would attach, and why; or whether it would read the tasks from outside."""
    from monitor.remote import place

    there = place.split(target)
    pid = target if there is None else there[0]
    if not (pid.isascii() and pid.isdigit()):
        raise UsageError("--dry-run is for a pid", "looptop attach PID --dry-run")
    if there is not None:
        from monitor.attach import elsewhere

        return elsewhere.plan(*there, injector, read_only)
    from monitor.attach.plan import plan

    return plan(int(pid), injector.plan, injector.method, read_only)


@click.command()
@target_argument
@remote_options
@token_option
def detach(target: str, token_file: str | None) -> int:
    """Remove the probe from a program, or from all workers of a server and their parent."""
    return _take_out(target, token_file)


@click.command()
@target_argument
@remote_options
@token_option
def disarm(target: str, token_file: str | None) -> int:
    """Remove the probe from an armed program; the same as detach."""
    return _take_out(target, token_file)


def _take_out(target: str, token_file: str | None) -> int:
    from monitor.errors import NoProbe

    members = set_of((target,))
    try:
        if members is not None:
            return _take_out_of_all(target, members, token_file)
        click.echo(_removed(target, token_file))
    except NoProbe as none:
        raise ConnectError(none.message, "nothing to remove") from none
    return 0


def _take_out_of_all(target: str, members: Members, token_file: str | None) -> int:
    """Remove the probes of all workers, and that of their parent. Raises NoProbe if there is none."""
    from monitor.attach.processes import with_name
    from monitor.errors import NoProbe

    def remove(one: str) -> str | NoProbe:
        try:
            return _removed(one, token_file)
        except NoProbe as none:
            return none

    workers = members.scan()
    parents = [target] if target.isdigit() else map(str, with_name(target[1:]) if target.startswith("@") else ())
    found = _of_each(workers, remove)
    above = [remove(one) for one in parents if one not in {worker.target for worker in workers}]
    out = [text for text in (*found, *above) if isinstance(text, str)]
    if not out and not any(isinstance(one, LooptopError) and not isinstance(one, NoProbe) for one in found):
        raise NoProbe(f"no process of {target} has a probe")
    for text in out:
        click.echo(text)
    return _report_failures(workers, [None if isinstance(one, NoProbe) else one for one in found])


def _of_each(
    workers: Sequence[Member], do: Callable[[str], Any], busy: Callable[[str], bool] = lambda target: False
) -> list[Any]:
    """The outcome for each worker: the result, or a LooptopError."""
    from monitor.fleet.each import each

    found = each(workers, lambda one: do(one.target), busy=lambda one: busy(one.target))
    return [found[worker.worker] for worker in workers]


def _report_failures(workers: Sequence[Member], found: Sequence[object]) -> int:
    """Say for which workers it failed; the exit status."""
    failures = [(worker, one) for worker, one in zip(workers, found, strict=True) if isinstance(one, LooptopError)]
    for worker, error in failures:
        say(f"worker {worker.worker}: {error}")
    return NO_CONNECTION if failures else 0


def _removed(target: str, token_file: str | None) -> str:
    """Remove a probe, and report it. Raises LooptopError."""
    from contextlib import closing

    from monitor.plain.snapshot import replies
    from monitor.store.store import Store

    connection = connect(target, token_file)
    with closing(connection):
        connection.send({"type": "request", "id": 1, "op": "detach"})
        reply = replies(connection, Store(), 1)
        if not reply.ok:
            raise LooptopError(f"the probe of process {connection.hello.pid} stays", reply.error)
    return f"the probe of process {connection.hello.pid} is out"


@click.command()
@target_argument
@click.option("--timeout", type=click.FloatRange(0.1, 60), default=5.0, metavar="S", help="Timeout for attaching (5).")
@remote_options
@token_option
def arm(target: str, timeout: float, token_file: str | None) -> int:
    """Keep a probe in a running program, or in all workers of a server, that remembers while nobody is connected.

    Viewers that connect later see slow callbacks, failures and figures from now on. `looptop disarm` removes it.
    Workers that start later have none.
    """
    from monitor.attach.injector import Injector

    injector = Injector("auto", timeout, False, True, say)
    members = set_of((target,))
    if members is None:
        click.echo(_armed(connect(target, token_file, injector)))
        return 0
    opened = Connector(token_file, injector=injector)
    workers = members.scan()
    found = _of_each(workers, lambda one: _armed(opened.first(one)), opened.entering)
    armed = [text for text in found if isinstance(text, str)]
    for text in armed:
        click.echo(text)
    click.echo(f"{len(armed)} of {len(workers)} workers have a probe that stays")
    return _report_failures(workers, found)


def _armed(connection: Connection) -> str:
    """Let the probe stay and remember, and report it. Raises LooptopError."""
    from contextlib import closing

    from monitor.plain.snapshot import replies
    from monitor.store.store import Store

    with closing(connection):
        hello = connection.hello
        connection.send({"type": "request", "id": 1, "op": "arm"})
        reply = replies(connection, Store(), 1)
        if not reply.ok:
            raise LooptopError(f"the probe of process {hello.pid} cannot be armed", reply.error)
    if hello.hooks == "C":
        return f"process {hello.pid} is armed: what happens from now on is remembered"
    return f"process {hello.pid} keeps its probe, but remembers nothing with nobody connected: {hello.hooks}"


def _ps_elsewhere(commands: Sequence[str], everything: bool, as_json: bool) -> int:
    """List the programs on the other side of each command. Status 3: none answered."""
    from dataclasses import asdict

    from monitor.attach import boxes_elsewhere, elsewhere
    from monitor.plain.objects import dump
    from monitor.plain.postmortem import box_object

    found: dict[str, tuple[list[Program], list[Box]]] = {}
    for command in commands:
        try:
            found[command] = elsewhere.programs(command, everything), boxes_elsewhere.found(command)
        except LooptopError as error:
            say(str(error))
    if as_json:
        listed = [{**asdict(one), "via": command} for command, (programs, _) in found.items() for one in programs]
        dead = [{**box_object(box), "via": command} for command, (_, boxes) in found.items() for box in boxes]
        click.echo(dump({"programs": listed, "dead": dead}))
    else:
        for command, (programs, boxes) in found.items():
            print_lines([f"via {command}"] if len(commands) > 1 else [])
            print_programs(programs)
            _print_dead(boxes)
    return 0 if found else NO_CONNECTION


def _print_dead(dead: list[Box]) -> None:
    if dead:
        from monitor.plain.dead_programs import listing

        print_lines(["", "Died, with a black box (looptop postmortem @NAME):"])
        print_object(False, dict, lambda *how: listing(dead, *how))


def _ps_of(targets: tuple[str, ...], commands: Sequence[str], as_json: bool) -> int:
    """List the processes that TARGETs mean, with their slots. Status 3: there is none."""
    from dataclasses import asdict

    from monitor.attach.programs import programs
    from monitor.fleet.members import Members
    from monitor.plain.objects import dump

    if commands:
        return _ps_of_elsewhere(targets, commands, as_json)
    slots = {member.pid: member.worker for member in Members(targets).scan()}
    listed = sorted((one for one in programs(True) if one.pid in slots), key=lambda one: slots[one.pid])
    if as_json:
        click.echo(dump({"programs": [{**asdict(one), "worker": slots[one.pid]} for one in listed]}))
    elif listed:
        print_programs(listed, slots)
    if not listed:
        say(f"{' '.join(targets)}: no Python program here")
    return 0 if listed else NO_CONNECTION


def _ps_of_elsewhere(targets: tuple[str, ...], commands: Sequence[str], as_json: bool) -> int:
    """The same on the other side of each command. Status 3: there is none, or no command answered."""
    from dataclasses import asdict

    from monitor.attach import elsewhere
    from monitor.cli.target import placed_all
    from monitor.fleet.members import Members
    from monitor.plain.objects import dump
    from monitor.remote import place

    found: dict[str, list[Program]] = {}
    for command in commands:
        try:
            found[command] = elsewhere.programs(command, True)
        except LooptopError as error:
            say(str(error))
    slots: dict[tuple[str, str], int] = {}
    for member in Members(placed_all(targets)).scan():
        pid, command = place.split(member.target) or (member.target, "")
        slots[command, pid] = member.worker
    listed = {
        command: sorted(
            (one for one in programs if (command, str(one.pid)) in slots),
            key=lambda one: slots[command, str(one.pid)],
        )
        for command, programs in found.items()
    }
    if as_json:
        objects = [
            {**asdict(one), "worker": slots[command, str(one.pid)], "via": command}
            for command, programs in listed.items()
            for one in programs
        ]
        click.echo(dump({"programs": objects}))
    for command, programs in listed.items():
        if not programs:
            say(f"{' '.join(targets)} via {command}: no Python program there")
        elif not as_json:
            print_lines([f"via {command}"] if len(commands) > 1 else [])
            print_programs(programs, {one.pid: slots[command, str(one.pid)] for one in programs})
    return 0 if any(listed.values()) else NO_CONNECTION


@click.command()
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option("--all", "everything", is_flag=True, help="Include looptop's own dashboards and commands.")
@json_option
@remote_options
def ps(targets: tuple[str, ...], everything: bool, as_json: bool) -> int:
    """List the Python programs on this machine, whether and how each can be watched, and those that died.

    With --via those on the other side of a command; with TARGET the processes that it means, such as all workers.
    `CPU mean` is the share of one core since the program began.
    """
    from dataclasses import asdict

    from monitor.attach import boxes
    from monitor.attach.programs import programs

    commands = commands_given()
    if targets:
        return _ps_of(targets, commands, as_json)
    if commands:
        return _ps_elsewhere(commands, everything, as_json)
    listed = programs(everything)
    dead = boxes.dead()
    if as_json:
        from monitor.plain.objects import dump
        from monitor.plain.postmortem import listing_object

        known = {"programs": [asdict(program) for program in listed], "dead": listing_object(dead)["boxes"]}
        click.echo(dump(known))
        return 0
    print_programs(listed)
    _print_dead(dead)
    return 0
