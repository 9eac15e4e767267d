"""`looptop findings`: watches a program for a while and prints detected problems."""

from __future__ import annotations

import click

from monitor.cli.output import json_option, print_object
from monitor.cli.target import at_option, recording_of, token_option
from monitor.errors import ConnectError
from monitor.guard import say

FOUND = 1
"""Exit status if there is at least one finding."""


@click.command()
@click.argument("target")
@click.option("--duration", type=click.FloatRange(0.5, 86_400), metavar="S", help="How long (10; of a recording: all).")
@json_option
@at_option
@token_option
def findings(target: str, duration: float | None, as_json: bool, at: str | None, token_file: str | None) -> int:
    """Watch a program for a while and print what is wrong with it, why it matters and what to do.

    Exits with 1 if something was found, also if it was over before the end.
    """
    from monitor.attach.injection import Way
    from monitor.attach.target_connection import Reach
    from monitor.findings import thresholds
    from monitor.findings.rules.engine import Findings
    from monitor.plain import findings as plain
    from monitor.plain import stream

    found = Findings(thresholds.load())
    path = recording_of(target, at)
    if path is not None:
        things = stream.replayed(path, at, duration, None, found)
    else:
        connection = Reach(target, token_file, Way(tell=say)).first()
        if "read-only" in connection.hello.capabilities:
            connection.close()
            raise ConnectError(
                f"nothing can be found in process {connection.hello.pid}: {connection.hello.hooks}",
                "findings need a probe in it",
            )
        things = stream.watch(connection, duration or 10.0, None, found)
    seen = plain.watched(things, found)
    for note in seen.notes:
        say(note)
    print_object(as_json, lambda: plain.seen_object(seen), lambda *how: plain.seen_lines(seen, *how))
    return FOUND if seen.found else 0
