"""`looptop tasks`, and what other commands print of tasks."""

from __future__ import annotations

import gc
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TypeVar

import click

from monitor.cli.output import json_option, print_look, print_object
from monitor.cli.target import (
    Connector,
    at_option,
    locals_option,
    only_recorded,
    read_only_option,
    recorded_set,
    recording_of,
    remote_options,
    set_of,
    targets_argument,
    token_option,
)
from monitor.errors import NO_CONNECTION, LooptopError
from monitor.guard import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.fleet.members import Member, Members
    from monitor.plain.snapshot import TaskList
    from monitor.plain.task_options import TaskOptions
    from monitor.recording.of_set import RecordedSet
    from monitor.transport.connection import Connection

Result = TypeVar("Result")


@click.command()
@targets_argument
@json_option
@click.option("--tree", is_flag=True, help="Show each task below its parent.")
@click.option("--stacks", is_flag=True, help="Print await stacks as text; JSON always has them.")
@click.option("--sort", default="busy", metavar="KEY", help="Column to sort by; -KEY reverses the order (busy).")
@click.option(
    "--filter",
    "filter_",
    default="",
    metavar="TEXT",
    help="Print only matching tasks: state:waiting busy>0.5 name:job-*",
)
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Limit to N tasks.")
@click.option("--ended", is_flag=True, help="Include tasks that have ended.")
@read_only_option
@at_option
@locals_option
@remote_options
@token_option
def tasks(
    targets: tuple[str, ...],
    as_json: bool,
    tree: bool,
    stacks: bool,
    sort: str,
    filter_: str,
    limit: int | None,
    ended: bool,
    read_only: bool,
    at: str | None,
    keep_locals: bool,
    token_file: str | None,
) -> int:
    """Print the tasks of a program, or of all workers of a service, once.

    Several TARGETs, a name that several programs have, and the pid of a parent (a server with workers) mean all of
    them. Of a recording: the tasks as they were at its end, or at a time.
    """
    from monitor.attach.injector import Injector
    from monitor.attach.target_connector import TargetConnector
    from monitor.errors import Closed
    from monitor.plain.task_options import TaskOptions

    wanted = TaskOptions(
        sort=sort, filter=filter_, limit=limit, ended=ended, tree=tree, stacks=stacks, locals=keep_locals
    )
    if not wanted.usual:
        from monitor.plain.snapshot import validate

        validate(wanted)
    recorded = recorded_set(targets)
    if recorded is not None:
        return print_recorded_tasks(recorded, at, wanted, as_json)
    members = set_of(targets)
    if members is not None:
        only_recorded(at)
        return print_tasks_of_all(members, Connector(token_file, read_only), wanted, as_json)
    (target,) = targets
    path = recording_of(target, at)
    if path is not None:
        from monitor.plain.snapshot import recorded_tasks
        from monitor.recording.reader import store_at

        return print_seen(recorded_tasks(store_at(path, at), wanted), as_json)
    connector = TargetConnector(target, token_file, Injector(notify=say), read_only)
    try:
        return print_tasks(connector.connect(), wanted, as_json)
    except Closed:  # another viewer removed the probe meanwhile, or the program has ended: then this reports it
        if not target.isdigit():
            raise
        return print_tasks(connector.connect(), wanted, as_json)


def print_tasks(connection: Connection, wanted: TaskOptions, as_json: bool) -> int:
    """Fetch the task list once and print it. The request is sent before the code that prints is imported."""
    from monitor.plain.task_options import ask

    with closing(connection), nothing_collected():
        ask(connection, wanted)
        from monitor.plain.snapshot import MOST_DETAILED, receive_tasks

        seen = receive_tasks(connection, wanted)
        if len(seen.tasks) > MOST_DETAILED:
            say(f"what they wait on is of the first {MOST_DETAILED:,}: --limit, --filter and --sort choose others")
        return print_seen(seen, as_json)


def print_tasks_of_all(members: Members, connect: Connector, wanted: TaskOptions, as_json: bool) -> int:
    """Print the tasks of all processes of a set in one table. The status is 3 if none could be read."""
    from monitor.fleet.each import each
    from monitor.plain import many

    def read_tasks(member: Member) -> TaskList:
        return again_if_closed(lambda: many.read_tasks(connect.first(member.target), member.worker, wanted))

    with nothing_collected():
        there = members.scan()
        found = each(there, read_tasks, busy=lambda member: connect.entering(member.target))
        seen = many.merged(wanted, there, found)
        for worker, problem in seen.problems.items():
            say(f"worker {worker}: {problem}")
        print_object(as_json, lambda: many.tasks_object(seen), lambda *how: many.tasks_lines(seen, *how))
    return 0 if seen.lists else NO_CONNECTION


def print_recorded_tasks(recorded: RecordedSet, at: str | None, wanted: TaskOptions, as_json: bool) -> int:
    """Print the tasks of a recorded set in one table."""
    from monitor.fleet.members import Member
    from monitor.plain import many
    from monitor.plain.snapshot import recorded_tasks
    from monitor.recording.reader import store_at

    moment = None if at is None else recorded.moment(at)
    there = [Member(part.worker, part.target, part.pid) for part in recorded.at(moment)]
    found: dict[int, TaskList | LooptopError] = {}
    for part in recorded.at(moment):
        try:
            store = store_at(part.path, moment)
        except LooptopError as error:
            found[part.worker] = error
            continue
        store.worker = part.worker
        found[part.worker] = recorded_tasks(store, wanted)
    seen = many.merged(wanted, there, found)
    print_object(as_json, lambda: many.tasks_object(seen), lambda *how: many.tasks_lines(seen, *how))
    return 0


def again_if_closed(work: Callable[[], Result]) -> Result:
    """Retry once if the connection ends: another viewer removed the probe meanwhile, or the program has ended."""
    from monitor.errors import Closed

    try:
        return work()
    except Closed:
        return work()


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Disable the garbage collector: a command that lists many tasks keeps all objects until it exits."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def print_seen(seen: TaskList, as_json: bool) -> int:
    """Print a task list as a table or JSON."""
    if as_json:
        from monitor.plain.objects import dump, snapshot

        click.echo(dump(snapshot(seen.store, seen.tasks, seen.ended)))
        return 0
    print_look(seen)
    return 0
