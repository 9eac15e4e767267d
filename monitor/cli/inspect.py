"""`looptop tasks`, `watch`, `memory` and `profile`: the screens' content as text or JSON."""

from __future__ import annotations

import gc
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TypeVar

import click

from monitor.cli.output import json_option, print_look, print_object
from monitor.cli.target import (
    Connector,
    at_option,
    connect,
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
from monitor.errors import NO_CONNECTION, LooptopError, UsageError
from monitor.guard import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.fleet.members import Member, Members
    from monitor.plain.objects import Object
    from monitor.plain.snapshot import TaskList
    from monitor.plain.task_options import TaskOptions
    from monitor.recording.of_set import RecordedSet
    from monitor.transport.connection import Connection

Result = TypeVar("Result")


@click.command()
@targets_argument
@json_option
@click.option("--tree", is_flag=True, help="Each task below its parent.")
@click.option("--stacks", is_flag=True, help="Print await stacks as text; JSON always has them.")
@click.option("--sort", default="busy", metavar="KEY", help="Column to sort by; -KEY turns the order round (busy).")
@click.option("--filter", "filter_", default="", metavar="TEXT", help="For example: state:waiting busy>0.5 name:job-*")
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Limit to N tasks.")
@click.option("--ended", is_flag=True, help="The tasks that have ended, too.")
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


@click.command()
@targets_argument
@json_option
@click.option("--duration", type=click.FloatRange(0), metavar="S", help="Stop after S seconds.")
@click.option("--slow", type=click.FloatRange(0.01), metavar="S", help="Threshold of slow callbacks (0.1).")
@click.option(
    "--only",
    type=click.Choice(["slow", "ended", "failed", "loop", "finding", "worker"]),
    multiple=True,
    help="Nothing else; several times for several.",
)
@click.option("--past", is_flag=True, help="First what the probe remembers from before.")
@read_only_option
@at_option
@locals_option
@remote_options
@token_option
def watch(
    targets: tuple[str, ...],
    as_json: bool,
    duration: float | None,
    slow: float | None,
    only: tuple[str, ...],
    past: bool,
    read_only: bool,
    at: str | None,
    keep_locals: bool,
    token_file: str | None,
) -> int:
    """Print findings, slow callbacks, ended tasks, exceptions and loop health, as they come.

    With --past what the probe remembers from before comes first. Of a recording all of it is printed at once. Of
    several programs (or all workers of a service) everything has its worker, and the end of a worker is reported, too.
    """
    from monitor.attach.injector import Injector
    from monitor.attach.target_connector import TargetConnector
    from monitor.findings import thresholds
    from monitor.findings.rules.engine import Findings
    from monitor.plain import many_stream, stream
    from monitor.plain.objects import dump

    found = Findings(thresholds.load())
    recorded = recorded_set(targets)
    members = None if recorded is not None else set_of(targets)
    path = None if members is not None or recorded is not None else recording_of(targets[0], at)
    if recorded is not None:
        from monitor.plain import recorded_set as of_set

        things = of_set.replayed(recorded, at, duration, slow, thresholds.load(), past)
    elif members is not None:
        only_recorded(at)
        things = _watch_all(
            members, Connector(token_file, read_only), duration, many_stream.asked(slow, keep_locals, past), past
        )
    elif path is not None:
        things = stream.replayed(path, at, duration, slow, found, past)
    else:
        things = stream.watch(
            TargetConnector(targets[0], token_file, Injector(notify=say), read_only).connect(),
            duration,
            slow,
            found,
            keep_locals,
            past,
        )
    for thing in things:
        if not stream.wanted(thing, only):
            continue
        if thing["type"] == "notice":
            say(thing["text"])
        else:
            text = dump(thing) if as_json else "\n".join(stream.lines(thing))
            print(text, flush=True)  # noqa: T201 - this is the output
    return 0


def _watch_all(
    members: Members, connect: Connector, duration: float | None, asked: dict[str, object], past: bool
) -> Iterator[Object]:
    """The objects of all processes of a set."""
    from monitor.findings import thresholds
    from monitor.fleet.fleet import Fleet
    from monitor.plain.many_stream import Watch

    with closing(Fleet(members, connect, asked)) as fleet:
        yield from Watch(fleet, thresholds.load(), past).run(duration)


@click.command()
@targets_argument
@click.option("--duration", type=click.FloatRange(0.1, 86_400), default=10.0, metavar="S", help="How long (10).")
@click.option(
    "--frames",
    type=click.IntRange(1, 25),
    metavar="N",
    help="Frames kept of each block (as many as lead to a line of your own).",
)
@click.option(
    "--group",
    type=click.Choice(["lineno", "filename", "traceback"]),
    help="What a row is (lineno; of a recording: as in its last snapshot).",
)
@click.option("--limit", type=click.IntRange(1, 500), default=20, metavar="N", help="Limit to N rows (20).")
@click.option("--hide", type=click.Choice(["stdlib", "packages"]), multiple=True, help="Leave these files out.")
@json_option
@at_option
@remote_options
@token_option
def memory(
    targets: tuple[str, ...],
    duration: float,
    frames: int | None,
    group: str | None,
    limit: int,
    hide: tuple[str, ...],
    as_json: bool,
    at: str | None,
    token_file: str | None,
) -> int:
    """Print which lines of a program make its memory grow.

    Traces its allocations for a while (tracemalloc), which slows the program's steps several times meanwhile.
    From a recording: the newest memory snapshot in it that shows growth.
    """
    from monitor.attach.injector import Injector
    from monitor.plain import memory as plain

    recorded = recorded_set(targets)
    if recorded is not None:
        from monitor.cli.each_worker import print_recorded

        _only_live("duration", "frames", "hide")
        return print_recorded(
            recorded,
            at,
            lambda path, moment: plain.recorded_growth(path, moment, group, limit),
            as_json,
            plain.growth_object,
            plain.growth_lines,
        )
    members = set_of(targets)
    if members is not None:
        from monitor.cli.each_worker import print_each

        only_recorded(at)
        options = plain.TracingOptions(duration, frames or 0, group or "lineno", limit, ("probe", *hide))
        return print_each(
            members,
            Connector(token_file),
            lambda connection: plain.measure(connection, options),
            duration + plain.BEFORE,
            as_json,
            plain.growth_object,
            plain.growth_lines,
        )
    path = recording_of(targets[0], at)
    if path is not None:
        _only_live("duration", "frames", "hide")
        growth = plain.recorded_growth(path, at, group, limit)
    else:
        wanted = plain.TracingOptions(duration, frames or 0, group or "lineno", limit, ("probe", *hide))
        growth = plain.measure(connect(targets[0], token_file, Injector(notify=say)), wanted)
    for note in growth.notes:
        say(note)
    print_object(as_json, lambda: plain.growth_object(growth), lambda *how: plain.growth_lines(growth, *how))
    return 0


@click.command()
@targets_argument
@click.option("--calls", type=click.IntRange(0, 1000), default=100, metavar="N", help="Newest calls in JSON (100).")
@json_option
@at_option
@remote_options
@token_option
def profile(targets: tuple[str, ...], calls: int, as_json: bool, at: str | None, token_file: str | None) -> int:
    """Print what functions decorated with probes.profile_time or profile_memory took.

    Of all workers of a service in a section for each.
    """
    from monitor.plain import memory as plain

    recorded = recorded_set(targets)
    if recorded is not None:
        from monitor.cli.each_worker import print_recorded
        from monitor.recording.reader import store_at

        return print_recorded(recorded, at, store_at, as_json, plain.profiles_object, plain.profiles_lines)
    members = set_of(targets)
    if members is not None:
        from monitor.cli.each_worker import print_each

        only_recorded(at)
        return print_each(
            members,
            lambda target: connect(target, token_file),
            lambda connection: plain.profiles(connection, calls if as_json else 0),
            0.0,
            as_json,
            plain.profiles_object,
            plain.profiles_lines,
        )
    path = recording_of(targets[0], at)
    if path is not None:
        from monitor.recording.reader import store_at

        store = store_at(path, at)
    else:
        store = plain.profiles(connect(targets[0], token_file), calls if as_json else 0)
    print_object(as_json, lambda: plain.profiles_object(store), lambda *how: plain.profiles_lines(store, *how))
    return 0


def _only_live(*names: str) -> None:
    """Raise UsageError if options were given that do not apply to a recording."""
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise UsageError(f"--{name} is for a running program", "a recording only has the snapshots taken then")


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
