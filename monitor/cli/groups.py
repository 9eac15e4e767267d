"""`looptop groups`: what endpoints, jobs and coroutines of a program do, and what they wait for."""

from __future__ import annotations

import click

from monitor.cli.answers import print_answer
from monitor.cli.output import json_option
from monitor.cli.target import at_option, remote_options, targets_argument, token_option
from monitor.errors import UsageError


@click.command()
@targets_argument
@json_option
@click.option("--sort", metavar="KEY", help="Column to sort by; -KEY reverses the order (total).")
@click.option("--by", type=click.Choice(("label", "site")), help="Group by coroutine and label, or by creation site.")
@click.option("--waits", is_flag=True, help="Print instead what they waited for, from every step in that time.")
@click.option("--group", default="", metavar="G", help="With --waits: only this group.")
@click.option("--past", is_flag=True, help="With --waits: include what the program still remembers from before.")
@click.option("--duration", type=click.FloatRange(0, 3600), metavar="S", help="Watch for S seconds (2; --waits: 5).")
@remote_options
@at_option
@token_option
def groups(
    targets: tuple[str, ...],
    as_json: bool,
    sort: str | None,
    by: str | None,
    waits: bool,
    group: str,
    past: bool,
    duration: float | None,
    at: str | None,
    token_file: str | None,
) -> int:
    """Print the tasks of a program by coroutine and label (route, RPC method, span).

    For each: rate, failures, percentiles of its age, and where the time went. Counts are since the program's tasks
    are counted, the rate is of the seconds watched (10 at most). Of a recording: as they were at its end, or at a time.
    `--by site` counts by the line that creates the tasks instead.
    """
    if waits:
        if at is not None:
            raise UsageError("--waits are of all of a recording", "leave --at out")
        if sort is not None:
            raise UsageError("--waits has an order of its own", "leave --sort out")
        if by is not None:
            raise UsageError("--waits are by coroutine and label", "leave --by out")
        return _print_waits(targets, as_json, group, past, 5.0 if duration is None else duration, token_file)
    if group or past:
        raise UsageError(f"{'--group' if group else '--past'} is for --waits", "add --waits")
    from monitor.plain import groups as plain

    key, seconds = sort or plain.DEFAULT_SORT, 2.0 if duration is None else duration
    by_site = by == "site"
    plain.sort_order(key)
    return print_answer(
        targets,
        token_file,
        at,
        as_json,
        ask=lambda connection: plain.watched(connection, seconds, by_site),
        takes=seconds,
        read=plain.recorded,
        thing=lambda store: plain.groups_object(store, key, by_site),
        lines=lambda store, *how: plain.group_lines(store, key, by_site, *how),
    )


def _print_waits(
    targets: tuple[str, ...], as_json: bool, group: str, past: bool, duration: float, token_file: str | None
) -> int:
    from monitor.plain import waits as plain
    from monitor.plain.why import notes_of

    return print_answer(
        targets,
        token_file,
        None,
        as_json,
        ask=lambda connection: plain.watched(connection, duration, past),
        takes=duration,
        read=lambda file, _: plain.recorded(file),
        thing=lambda trace: plain.waits_object(trace, plain.profile_of(trace, group)),
        lines=lambda trace, *how: plain.waits_lines(plain.profile_of(trace, group), group, *how),
        notes=notes_of,
    )
