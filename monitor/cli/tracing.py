"""`looptop why` and `looptop trace`: every step of a program, what woke it, and what made tasks late."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.output import json_option, print_object
from monitor.cli.target import connect, recording_of, remote_options, target_argument, token_option
from monitor.errors import UsageError
from monitor.guard import say

if TYPE_CHECKING:
    from monitor.transport.connection import Connection


@click.command()
@target_argument
@click.option("--task", type=click.IntRange(1), metavar="ID", help="The task with this id.")
@click.option("--group", default="", metavar="G", help="Only tasks of this coroutine, label or name.")
@click.option("--slowest", type=click.IntRange(1, 10_000), metavar="N", help="The N slowest tasks that ended (5).")
@click.option("--duration", type=click.FloatRange(0, 3600), metavar="S", help="Watch for S seconds (5).")
@click.option("--past", is_flag=True, help="Include what the program still remembers from before.")
@json_option
@remote_options
@token_option
def why(
    target: str,
    task: int | None,
    group: str,
    slowest: int | None,
    duration: float | None,
    past: bool,
    as_json: bool,
    token_file: str | None,
) -> int:
    """Print why tasks were late: what they ran, whom they queued behind, what they waited for and who ended that.

    Of a running program, its tasks of the next seconds; of a recording made with --steps, all of them.
    """
    from monitor.plain import why as plain

    if task is not None and (group or slowest is not None):
        raise UsageError("--task is one task", "leave --group and --slowest out")
    path = recording_of(target)
    if path is not None:
        trace = plain.collected(path)
    else:
        trace = plain.collect(_connect(target, token_file), 5.0 if duration is None else duration, past, task)
    found = plain.why(trace, plain.WhyOptions(task, group, slowest or 5))
    for note in found.notes:
        say(note)
    print_object(as_json, lambda: plain.why_object(found), lambda *how: plain.why_lines(found, *how))
    return 0


@click.command()
@target_argument
@click.option("-o", "--output", metavar="FILE", required=True, help="Where to, for ui.perfetto.dev.")
@click.option("--duration", type=click.FloatRange(0.1, 3600), metavar="S", help="Trace for S seconds (5).")
@click.option("--last", type=click.FloatRange(0.1), metavar="S", help="Instead: the last S seconds, as remembered.")
@remote_options
@token_option
def trace(target: str, output: str, duration: float | None, last: float | None, token_file: str | None) -> int:
    """Trace every step of a program, with who woke it, into a file for ui.perfetto.dev."""
    from monitor.plain import why as plain
    from monitor.recording.export import write
    from monitor.trace.perfetto import packets_of

    if duration is not None and last is not None:
        raise UsageError("--duration looks ahead and --last looks back", "choose one")
    path = recording_of(target)
    if path is not None:
        taken = plain.collected(path)
    elif last is not None:
        taken = plain.collect(_connect(target, token_file), 0.0, past=True)
    else:
        taken = plain.collect(_connect(target, token_file), 5.0 if duration is None else duration)
    taken.name_live_tasks()
    timeline = taken.timeline
    since = 0 if last is None else timeline.end - round(last * 1e9)
    write(Path(output), packets_of(taken, since), overwrite=True)
    for note in plain.notes_of(taken):
        say(note)
    begin = max(timeline.begin, since)
    steps = sum(run.end >= begin for runs in timeline.runs.values() for run in runs)
    say(f"{steps:,} steps of {max(timeline.end - begin, 0) / 1e9:.1f} s in {output}; open it in ui.perfetto.dev")
    return 0


def _connect(target: str, token_file: str | None) -> Connection:
    from monitor.attach.injector import Injector

    return connect(target, token_file, Injector(notify=say))
