"""`looptop memory` and `looptop profile`."""

from __future__ import annotations

import click

from monitor.cli.output import json_option, print_object
from monitor.cli.target import (
    Connector,
    at_option,
    connect,
    only_recorded,
    recorded_set,
    recording_of,
    remote_options,
    set_of,
    targets_argument,
    token_option,
)
from monitor.errors import UsageError
from monitor.guard import say


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
