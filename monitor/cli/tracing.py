"""`looptop why` and `looptop trace`: every step of a program, what woke it, and what made tasks late."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor import formatting as fmt
from monitor.cli.output import json_option, print_object
from monitor.cli.target import (
    Connector,
    connect,
    recorded_set,
    recording_of,
    remote_options,
    set_of,
    targets_argument,
    token_option,
)
from monitor.errors import UsageError
from monitor.guard import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.plain.many_why import Whose
    from monitor.trace.collect import Trace
    from monitor.transport.connection import Connection


class TaskId(click.IntRange):
    """The id of a task, as it is shown: `12` or `#12`."""

    name = "id"

    def __init__(self) -> None:
        super().__init__(min=1)

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Fails for anything else."""
        return int(super().convert(str(value).removeprefix("#"), param, ctx))  # type: ignore[arg-type]  # any text


@click.command()
@targets_argument
@click.option("--task", type=TaskId(), metavar="ID", help="Only the task with this id: 12 or #12.")
@click.option("--group", default="", metavar="G", help="Only tasks of this coroutine, label or name.")
@click.option("--slowest", type=click.IntRange(1, 10_000), metavar="N", help="The N slowest tasks that ended (5).")
@click.option("--duration", type=click.FloatRange(0, 3600), metavar="S", help="Watch for S seconds (5).")
@click.option("--past", is_flag=True, help="Include what the program still remembers from before.")
@json_option
@remote_options
@token_option
def why(
    targets: tuple[str, ...],
    task: int | None,
    group: str,
    slowest: int | None,
    duration: float | None,
    past: bool,
    as_json: bool,
    token_file: str | None,
) -> int:
    """Print why tasks were late: what they ran, whom they queued behind, what they waited for and who ended the wait.

    Of a running program, its tasks of the next seconds; of a recording made with --steps, all of them.
    Of all workers of a service the slowest tasks of all, each with its process.
    """
    from monitor.plain import why as plain

    if task is not None and (group or slowest is not None):
        raise UsageError("--task is one task", "leave --group and --slowest out")
    seconds = 5.0 if duration is None else duration
    options = plain.WhyOptions(task, group, slowest or 5)
    traces = _traces_of_set(targets, token_file, seconds, past, plain.asked_in_sight(options))
    if traces is not None:
        from monitor.plain import many_why

        if task is not None:
            raise UsageError("--task is a task of one program", "name one worker")
        late = many_why.why(traces, options)
        for note in late.notes:
            say(note)
        print_object(as_json, lambda: many_why.why_object(late), lambda *how: many_why.why_lines(late, *how))
        return 0
    path = recording_of(targets[0])
    if path is not None:
        trace = plain.collected(path)
    else:
        trace = plain.collect(_connect(targets[0], token_file), seconds, past, plain.asked_in_sight(options))
    found = plain.why(trace, options)
    for note in found.notes:
        say(note)
    print_object(as_json, lambda: plain.why_object(found), lambda *how: plain.why_lines(found, *how))
    return 0


@click.command()
@targets_argument
@click.option("-o", "--output", metavar="FILE", required=True, help="Output file, for ui.perfetto.dev.")
@click.option("--duration", type=click.FloatRange(0.1, 3600), metavar="S", help="Trace for S seconds (5).")
@click.option(
    "--last",
    type=click.FloatRange(0.1),
    metavar="S",
    help="Write the last S seconds instead, as far as the probe remembers them.",
)
@remote_options
@token_option
def trace(
    targets: tuple[str, ...], output: str, duration: float | None, last: float | None, token_file: str | None
) -> int:
    """Trace every step of a program, with who woke it, into a file for ui.perfetto.dev.

    Of all workers of a service into one file, with a process for each.
    """
    from monitor.plain import why as plain

    if duration is not None and last is not None:
        raise UsageError("--duration looks ahead and --last looks back", "choose one")
    seconds = 0.0 if last is not None else 5.0 if duration is None else duration
    traces = _traces_of_set(targets, token_file, seconds, last is not None)
    if traces is not None:
        return _write_traces([one for _, one in traces], output, last)
    path = recording_of(targets[0])
    if path is not None:
        taken = plain.collected(path)
    else:
        taken = plain.collect(_connect(targets[0], token_file), seconds, past=last is not None)
    return _write_traces([taken], output, last)


def _traces_of_set(
    targets: tuple[str, ...],
    token_file: str | None,
    duration: float,
    past: bool,
    in_sight: Callable[[Trace], list[int]] | None = None,
) -> list[tuple[Whose, Trace]] | None:
    """The traces of the processes of a set, running or recorded; None for a single program or recording."""
    from monitor.plain import why as plain

    recorded = recorded_set(targets)
    if recorded is not None:
        return [((part.worker, part.pid), plain.collected(part.path)) for part in recorded.parts]
    members = set_of(targets)
    if members is None:
        return None
    from monitor.cli.answers import answers

    def ask(connection: Connection) -> tuple[int, Trace]:
        return connection.hello.pid, plain.collect(connection, duration, past, in_sight or plain.all_in_sight)

    there, found = answers(members, Connector(token_file), ask, duration)
    return [((one.worker, found[one.worker][0]), found[one.worker][1]) for one in there]


def _write_traces(traces: list[Trace], output: str, last: float | None) -> int:
    from itertools import chain

    from monitor.plain.why import notes_of
    from monitor.recording.export import write
    from monitor.trace.perfetto import packets_of

    steps, of = 0, fmt.several(len(traces), "process", "processes")
    pieces = []
    for number, one in enumerate(traces):
        one.complete()
        since = 0 if last is None else one.timeline.end - round(last * 1e9)
        pieces.append(packets_of(one, since, number))
        begin = max(one.timeline.begin, since)
        if len(traces) == 1:
            of = f"{max(one.timeline.end - begin, 0) / 1e9:.1f} s"
        steps += sum(run.end >= begin for runs in one.timeline.runs.values() for run in runs)
        for note in notes_of(one):
            say(note)
    write(Path(output), chain.from_iterable(pieces), overwrite=True)
    say(f"{fmt.of_many(steps, 'step')} of {of} in {output}; open it in ui.perfetto.dev")
    return 0


def _connect(target: str, token_file: str | None) -> Connection:
    from monitor.attach.injector import Injector

    return connect(target, token_file, Injector(notify=say))
