"""`looptop watch`: prints what happens in a program, or several, as it happens."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from monitor.cli.output import json_option
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
from monitor.guard import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.fleet.members import Members
    from monitor.plain.objects import Object

KINDS = [
    *("slow", "ended", "failed", "loop", "finding", "worker"),
    *("blocked", "slow_callback", "task_ended", "unhandled", "finding_gone", "worker_started", "worker_ended"),
]
"""Values of `--only`: those of plain.stream, which is imported only when it is needed."""


@click.command()
@targets_argument
@json_option
@click.option("--duration", type=click.FloatRange(0), metavar="S", help="Stop after S seconds.")
@click.option("--slow", type=click.FloatRange(0.01), metavar="S", help="Threshold of slow callbacks (0.1).")
@click.option(
    "--only",
    type=click.Choice(KINDS),
    metavar="KIND",
    multiple=True,
    help="Print only this kind (slow, ended, failed, loop, finding, worker) or `type` of --json; repeat for several.",
)
@click.option("--past", is_flag=True, help="Print first what the probe remembers from before.")
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
    """Print findings, what blocks a loop now, slow callbacks, ended tasks, exceptions and loop health, as they come.

    With --past, what the probe remembers from before comes first. A recording is printed at once. Of several programs,
    or all workers of a service, every line names its worker, and the end of a worker is reported, too.
    """
    from monitor.attach.injector import Injector
    from monitor.attach.target_connector import TargetConnector
    from monitor.findings import thresholds
    from monitor.findings.rules.engine import Findings
    from monitor.plain import event_lines, many_stream, stream
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
            text = dump(thing) if as_json else "\n".join(event_lines.lines(thing))
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
