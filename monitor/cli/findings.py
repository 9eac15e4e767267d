"""`looptop findings`: watches a program for a while and prints detected problems."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from monitor.cli.output import json_option, print_object
from monitor.cli.target import (
    Connector,
    at_option,
    only_recorded,
    recorded_set,
    recording_of,
    remote_options,
    set_of,
    targets_argument,
    token_option,
)
from monitor.errors import ConnectError
from monitor.guard import say

if TYPE_CHECKING:
    from monitor.fleet.members import Members
    from monitor.plain.findings import Seen

DURATION = 10.0
"""Seconds for which a program is watched by default."""

FOUND = 1
"""Exit status if there is at least one finding."""


@click.command()
@targets_argument
@click.option(
    "--duration", type=click.FloatRange(0.5, 86_400), metavar="S", help="Watch for S seconds (10; of a recording: all)."
)
@json_option
@at_option
@remote_options
@token_option
def findings(
    targets: tuple[str, ...], duration: float | None, as_json: bool, at: str | None, token_file: str | None
) -> int:
    """Watch a program, or all workers of a service, and print what is wrong, why it matters and what to do.

    Exits with 1 if something was found, also if it was over before the end.
    """
    from monitor.attach.injector import Injector
    from monitor.attach.target_connector import TargetConnector
    from monitor.findings import thresholds
    from monitor.findings.rules.engine import Findings
    from monitor.plain import findings as plain
    from monitor.plain import stream

    found = Findings(thresholds.load())
    recorded = recorded_set(targets)
    if recorded is not None:
        from monitor.plain.recorded_set import found_in

        seen = found_in(recorded, at, duration, thresholds.load())
        for note in seen.notes:
            say(note)
        print_object(as_json, lambda: plain.seen_object(seen), lambda *how: plain.seen_lines(seen, *how))
        return FOUND if seen.found else 0
    members = set_of(targets)
    path = None if members is not None else recording_of(targets[0], at)
    if members is not None:
        only_recorded(at)
        seen = _watch_all(members, Connector(token_file), duration or DURATION)
        print_object(as_json, lambda: plain.seen_object(seen), lambda *how: plain.seen_lines(seen, *how))
        return FOUND if seen.found else 0
    if path is not None:
        things = stream.replayed(path, at, duration, None, found)
    else:
        connection = TargetConnector(targets[0], token_file, Injector(notify=say)).connect()
        if "read-only" in connection.hello.capabilities:
            connection.close()
            raise ConnectError(
                f"nothing can be found in process {connection.hello.pid}: {connection.hello.hooks}",
                "findings need a probe in it",
            )
        things = stream.watch(connection, duration or DURATION, None, found)
    seen = plain.watched(things, found, live=path is None)
    for note in seen.notes:
        say(note)
    print_object(as_json, lambda: plain.seen_object(seen), lambda *how: plain.seen_lines(seen, *how))
    return FOUND if seen.found else 0


def _watch_all(members: Members, connect: Connector, duration: float) -> Seen:
    """Findings in the processes of a set. Raises ConnectError if none could be watched."""
    from monitor.findings import thresholds
    from monitor.fleet.fleet import Fleet
    from monitor.plain.findings import watched_all
    from monitor.plain.many_stream import Watch, asked

    with closing(Fleet(members, connect, asked(None, past=True))) as fleet:
        watch = Watch(fleet, thresholds.load())
        seen = watched_all(watch.run(duration), watch.findings, watch.detectors)
    for note in seen.notes:
        say(note)
    if not watch.joined:
        raise ConnectError("no process of the set could be watched", "looptop ps lists what runs here")
    return seen
