"""`looptop record`, and commands on recordings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.output import json_option, print_object
from monitor.cli.target import Connector, connect, recorded_set, remote_options, set_of, targets_argument, token_option
from monitor.errors import UsageError
from monitor.guard import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.flame.tree import Change
    from monitor.fleet.members import Members
    from monitor.recording.compare import Comparison
    from monitor.recording.figures import Figures
    from monitor.recording.of_set import RecordedSet
    from monitor.recording.reader import Recording
    from monitor.recording.record import Outcome, RecordOptions

FLAME_HZ = 100
"""Samples per second of what loops run, in recordings."""


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2 only
    """A duration such as `90`, `90s`, `10m` or `1h`, in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ARG002
        """Raises UsageError for anything else."""
        from monitor.parsing import duration

        return value if isinstance(value, float) else duration(str(value))


@click.command()
@targets_argument
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Output file (PROGRAM-DATE-TIME.looptop); of a set, a folder (….looptop-set).",
)
@click.option("--duration", type=Duration(), metavar="T", help="Stop after T: 90, 10m, 1h.")
@click.option("--rate", type=click.FloatRange(0.1, 20), metavar="N", help="Ticks per second (2).")
@click.option("--slow", type=click.FloatRange(0.01), metavar="S", help="Threshold of slow callbacks (0.1).")
@click.option("--ring", type=Duration(), metavar="T", help="Keep only the last T on disk.")
@click.option(
    "--on",
    multiple=True,
    metavar="WHAT",
    help="With --ring: save a file when this happens, and continue: slow:1s, failed, growth:100MB.",
)
@click.option(
    "--after", type=Duration(), metavar="T", help="With --on: keep recording to the file for T afterwards (30s)."
)
@click.option("--flame", is_flag=True, help="Record samples for flame graphs, 100 a second.")
@click.option("--steps", is_flag=True, help="Record every step and who woke it, for looptop why and trace.")
@remote_options
@token_option
def record(
    targets: tuple[str, ...],
    output: str | None,
    duration: float | None,
    rate: float | None,
    slow: float | None,
    ring: float | None,
    on: tuple[str, ...],
    after: float | None,
    flame: bool,
    steps: bool,
    token_file: str | None,
) -> int:
    """Record a program, or all workers of a service, to replay, compare or export it.

    Ctrl-C stops and finishes the file. If the program has no probe, one is injected, and
    removed afterwards. Of a set it makes a folder with a file for each process, also for those that start later;
    the folder is a TARGET, too.
    """
    from monitor.attach.injector import Injector
    from monitor.recording.record import RecordOptions, check, default_path
    from monitor.recording.record import record as run_recorder

    what = {"rate": rate, "afterwards": after}
    wanted = RecordOptions(
        path=Path(output or ""),
        duration=duration,
        slow=slow,
        ring=ring,
        on=on,
        flame=FLAME_HZ if flame else 0,
        steps=steps,
        **{name: value for name, value in what.items() if value is not None},
    )
    check(wanted, named=output is not None)
    members = set_of(targets)
    if members is not None:
        return _record_set(members, Connector(token_file), wanted, targets, named=output is not None)
    (target,) = targets
    connection = connect(target, token_file, Injector(notify=say))
    if steps and "steps" not in connection.hello.capabilities:
        connection.close()
        raise UsageError(f"steps of {target} are not recorded", f"its hooks are {connection.hello.hooks}; needs C")
    if output is None:
        import time
        from dataclasses import replace

        path = default_path(connection.hello.name, connection.hello.program, time.time())
        wanted = replace(wanted, path=Path(path))
    from monitor.plain.recording import StatusLine

    with StatusLine(connection.hello, wanted) as line:
        outcome = run_recorder(connection, wanted, notify=line.show, again=lambda: connect(target, token_file))
    return report(outcome)


def _record_set(
    members: Members, connector: Connector, wanted: RecordOptions, targets: tuple[str, ...], *, named: bool
) -> int:
    import time
    from dataclasses import replace

    from monitor.errors import NO_CONNECTION
    from monitor.fleet.recorder import SetRecorder
    from monitor.plain.recording import SetStatusLine
    from monitor.recording.of_set import SUFFIX
    from monitor.recording.record import default_path

    if not named:
        name = default_path(targets[0].lstrip("@"), "", time.time())
        wanted = replace(wanted, path=Path(name).with_suffix(SUFFIX))
    recorder = SetRecorder(members, connector, wanted)
    with SetStatusLine(" ".join(targets), wanted, recorder) as line:
        reason = recorder.run(line.show)
    for text in line.result(reason):
        say(text)
    done = [one.outcome for one in recorder.recorded if one.outcome is not None]
    if not done:
        return NO_CONNECTION
    return 1 if any(outcome.problem is not None for outcome in done) else 0


@click.command()
@click.argument("recording", metavar="FILE")
@click.option(
    "--speed", type=click.FloatRange(0.25, 64), default=1.0, metavar="X", help="Playback speed, 0.25 to 64 (1)."
)
@click.option("--from", "begin", metavar="T", help="Begin there: seconds since the start (90, 2m), or a clock time.")
def replay(recording: str, speed: float, begin: str | None) -> int:
    """Open the dashboard on a recording, at any point in time; of a recorded set with all workers first."""
    from monitor import terminal
    from monitor.recording.source import open_recording

    recorded = recorded_set((recording,))
    if recorded is not None:
        return _replay_set(recorded, speed, begin)
    source = open_recording(recording, speed=speed, at=begin)
    decision = terminal.decide_here()
    if not isinstance(decision, terminal.Tui):
        from monitor.cli.tasks import print_seen
        from monitor.plain.snapshot import recorded_tasks
        from monitor.plain.task_options import TaskOptions
        from monitor.recording.reader import store_at

        source.close()
        say(f"{decision.reason}: printing a table instead")
        return print_seen(recorded_tasks(store_at(recording, begin), TaskOptions()), as_json=False)
    from monitor.cli.home import connect_screen
    from monitor.tui import run_dashboard

    return run_dashboard(source, home=connect_screen)


def _replay_set(recorded: RecordedSet, speed: float, begin: str | None) -> int:
    from monitor import terminal
    from monitor.cli.service import replay_set
    from monitor.cli.tasks import print_recorded_tasks
    from monitor.plain.task_options import TaskOptions

    decision = terminal.decide_here()
    if isinstance(decision, terminal.Tui):
        return replay_set(recorded, speed, begin)
    say(f"{decision.reason}: printing a table instead")
    return print_recorded_tasks(recorded, begin, TaskOptions(), as_json=False)


@click.command()
@click.argument("a")
@click.argument("b")
@click.option(
    "--fail-if",
    "conditions",
    multiple=True,
    metavar="CONDITION",
    help='Exit with 1 if this holds, for example "lag_p99>+20%", "slow_new>0", "rss_max>200MB" or "frame:render>30%".',
)
@click.option("--skip", type=Duration(), default=0.0, metavar="T", help="Skip the first T of both (warm-up).")
@json_option
def compare(a: str, b: str, conditions: tuple[str, ...], skip: float, as_json: bool) -> int:
    """Compare two recordings, A before and B after; regressions come first.

    Of recorded sets: rates, tasks, memory and CPU of all processes together, and the worst lag.
    """
    from monitor.flame.conditions import frame_condition, is_frame
    from monitor.plain import compare as plain
    from monitor.recording.compare import compare as compare_figures
    from monitor.recording.compare import condition, failing

    parsed = [condition(text) for text in conditions if not is_frame(text)]
    of_frames = [frame_condition(text) for text in conditions if is_frame(text)]
    found = compare_figures(*(_figures(one, skip) for one in (a, b)))
    failed, unknown = failing(parsed, found)
    frames = _frames(found)
    if of_frames and not frames:
        raise UsageError(f"--fail-if {of_frames[0].text}: not both have samples", "record with --flame")
    grown = [(one, change) for one in of_frames if (change := one.holds(frames)) is not None]
    texts = [one.text for one in failed] + [one.text for one, _ in grown]
    print_object(
        as_json,
        lambda: plain.comparison_object(found, texts, frames),
        lambda width, colour: plain.comparison_lines(found, width, colour, frames),
    )
    for one in unknown:
        say(f"--fail-if {one.text}: {one.figure.key} is not known in both")
    for one in parsed:
        if one not in unknown:
            line = next(line for line in found.lines if line.figure is one.figure)
            verdict = "failed" if one in failed else "passed"
            say(f"{verdict}: {one.text} ({one.figure.text(line.a)} → {one.figure.text(line.b)})")
    for frame, change in grown:
        say(f"failed: {frame.described(change)}")
    for frame in of_frames:
        if frame.text not in texts:
            say(f"passed: {frame.text}")
    return 1 if failed or unknown or grown else 0


def _figures(name: str, skip: float) -> Figures:
    """The summary of a recording, or of a recorded set."""
    from monitor.recording.figures import figures, of_set

    recorded = recorded_set((name,))
    return figures(name, skip) if recorded is None else of_set(recorded, skip)


def _frames(found: Comparison) -> list[Change]:
    """Functions by how much more of the time they ran on the loop in B, if both recordings have samples."""
    from monitor.flame.load import from_recorded_set, from_recording, has_samples
    from monitor.flame.tree import changes

    profiles = []
    for one in (found.a, found.b):
        begin, recorded = round(one.start * 1e6), recorded_set((str(one.path),))
        files = [one.path] if recorded is None else [part.path for part in recorded.parts]
        if not any(map(has_samples, files)):
            return []
        profiles.append(
            from_recording(one.path, begin=begin) if recorded is None else from_recorded_set(recorded, begin=begin)
        )
    return changes(profiles[0].stacks, profiles[1].stacks, (found.a.duration, found.b.duration))


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--to", "kind", required=True, type=click.Choice(["perfetto", "ndjson", "csv", "parquet"]), help="Output format."
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Output file; - is stdout (perfetto: FILE.perfetto-trace; parquet: a folder, looptop-parquet).",
)
@click.option("--force", is_flag=True, help="Overwrite a file that exists.")
@click.option("--from", "begin", metavar="T", help="Begin there: seconds since the start (90, 2m), or a clock time.")
@click.option("--until", metavar="T", help="End there, given in the same way.")
@click.option(
    "--table",
    type=click.Choice(["ticks", "tasks", "slow", "ended"]),
    help="Rows of the CSV file (ticks).",
)
def export(
    files: tuple[str, ...],
    kind: str,
    output: str | None,
    force: bool,
    begin: str | None,
    until: str | None,
    table: str | None,
) -> int:
    """Turn a recording into a trace for ui.perfetto.dev, or into lines or columns for other tools.

    Only --to parquet takes several recordings, and recorded sets: each process is a worker.
    """
    from monitor.recording.reader import Recording

    if kind == "parquet":
        if begin or until:
            raise UsageError("--from and --until are not for Parquet", "filter by time in the query")
        return _parquet(files, output or "looptop-parquet", force)
    if len(files) > 1:
        raise UsageError(f"--to {kind} takes one recording", "--to parquet takes several")
    (recording,) = files
    if recorded_set(files) is not None:
        raise UsageError(f"{recording} is the recording of a set", "name one file in it, or --to parquet")
    if table is not None and kind != "csv":
        raise UsageError("--table is for CSV", "--to csv")
    with Recording(recording) as found:
        span = (
            found.start if begin is None else found.moment(begin),
            found.end if until is None else found.moment(until),
        )
        if span[1] <= span[0]:
            raise UsageError("nothing is between --from and --until", f"the recording has {found.duration:.1f} s")
        pieces = _pieces(found, kind, table or "ticks", span)
        if output is None and kind == "perfetto":
            output = str(Path(recording).with_suffix(".perfetto-trace"))
        if output in (None, "-"):
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        else:
            from monitor import formatting as fmt
            from monitor.recording.export import write

            size = write(Path(str(output)), pieces, overwrite=force)
            where = "; open it with ui.perfetto.dev" if kind == "perfetto" else ""
            say(f"{output}: {fmt.size(size)}{where}")
        for problem in found.problems:
            say(problem)
    return 0


def _parquet(files: tuple[str, ...], folder: str, force: bool) -> int:
    from contextlib import ExitStack

    from monitor import formatting as fmt
    from monitor.plain.parquet import export
    from monitor.recording.reader import Recording

    with ExitStack() as stack:
        recordings = [(worker, stack.enter_context(Recording(file))) for worker, file in _workers(files)]
        for path, size in export(recordings, Path(folder), overwrite=force):
            say(f"{path}: {fmt.size(size)}")
        for problem in (problem for _, recording in recordings for problem in recording.problems):
            say(problem)
    return 0


def _workers(files: tuple[str, ...]) -> Iterator[tuple[int, str | Path]]:
    """Each recording with its worker: of a recorded set its own, else its position."""
    first = 0
    for file in files:
        recorded = recorded_set((file,))
        found = [(0, Path(file))] if recorded is None else [(part.worker, part.path) for part in recorded.parts]
        yield from ((first + worker, path) for worker, path in found)
        first += max(worker for worker, _ in found) + 1


def _pieces(found: Recording, kind: str, table: str, span: tuple[int, int]) -> Iterator[bytes]:
    if kind == "perfetto":
        from monitor.recording.perfetto import trace

        return trace(found, *span)
    from monitor.plain.export import csv_lines, ndjson

    lines = ndjson(found, *span) if kind == "ndjson" else csv_lines(table, found, *span)
    return (line.encode("utf-8", "replace") for line in lines)


def report(outcome: Outcome) -> int:
    """Report the result of a recording; the exit status is 1 if it could not be written to the end."""
    for line in outcome.lines():
        say(line)
    return 1 if outcome.problem is not None else 0
