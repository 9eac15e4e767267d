"""`looptop flame`: where the time of the loop goes below a step, and where tasks wait."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.output import json_option, print_object
from monitor.cli.target import (
    Connector,
    connect,
    placed,
    recorded_set,
    recording_of,
    remote_options,
    set_of,
    token_option,
)
from monitor.errors import LooptopError, UsageError
from monitor.guard import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.flame.load import Profile
    from monitor.fleet.members import Members
    from monitor.plain.objects import Object

BINARY = ("pprof",)
ENDINGS = {
    ".html": "html",
    ".json": "speedscope",
    ".speedscope": "speedscope",
    ".pb.gz": "pprof",
    ".pprof": "pprof",
    ".folded": "collapsed",
    ".collapsed": "collapsed",
}
"""Formats by the ending of the file, if `--to` and `--json` are missing."""


@click.command()
@click.argument("targets", metavar="TARGET", nargs=-1, required=True, callback=placed)
@click.option(
    "--duration", type=click.FloatRange(0.1, 86_400), default=10.0, metavar="S", help="Sample for S seconds (10)."
)
@click.option("--hz", type=click.IntRange(10, 1000), default=100, metavar="N", help="Samples per second (100).")
@click.option("--wait", is_flag=True, help="Show where tasks wait, by time, instead of what the loop runs.")
@click.option("--jobs", is_flag=True, help="Show what executor threads do, under the tasks that submitted it.")
@click.option("--group", default="", metavar="G", help="Only tasks of this group: a coroutine, or a label.")
@click.option(
    "--by",
    type=click.Choice(["group", "coroutine", "site", "task", "process", "all"]),
    default="group",
    help="Group stacks by coroutine and label (group), coroutine, creation site, task or process, or not at all (all).",
)
@click.option("--diff", is_flag=True, help="Compare two recordings, or two files written with --json: A B.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write to a file (.html, .json, .pb.gz, .folded: in that format; .txt: text); - is stdout.",
)
@click.option(
    "--to",
    "kind",
    type=click.Choice(["speedscope", "collapsed", "pprof", "html"]),
    help="Convert to a format of another tool, or to a page for a browser.",
)
@json_option
@remote_options
@token_option
def flame(
    targets: tuple[str, ...],
    duration: float,
    hz: int,
    wait: bool,
    jobs: bool,
    group: str,
    by: str,
    diff: bool,
    output: str | None,
    kind: str | None,
    as_json: bool,
    token_file: str | None,
) -> int:
    """Print a flame graph that knows tasks: what the loop runs, or where tasks wait.

    TARGET is a program, or a recording made with record --flame. Of all workers of a service it is one flame graph;
    --by process tells them apart, and with --json every stack has its process. Seconds and samples are those of stacks;
    time in which loops ran nothing is counted apart, as idle.
    """
    if as_json and kind is not None:
        raise UsageError("--json and --to are two formats", "leave one of them out")
    if wait and jobs:
        raise UsageError("--wait and --jobs are two profiles", "leave one of them out")
    what = "waiting" if wait else "jobs" if jobs else "on_loop"
    if kind is None and not as_json:
        kind = _format_of(output)
    if diff:
        return _print_difference(targets, what, group, by, output, kind, as_json)
    profile = _profile(targets, duration, hz, token_file, what, by)
    from monitor.plain import flame as plain

    profile.stacks = profile.stacks.only(group)
    if group and not len(profile.stacks):
        raise UsageError(f"no samples of {group}", "the tree without --group shows the groups there are")
    for note in profile.notes:
        say(note)
    title = f"{' '.join(targets)}: {plain.TITLES.get(profile.kind, 'slow callbacks')}"
    if kind is not None:
        return _write(plain.converted(profile, kind, title, by), kind, output)
    return _print(
        as_json,
        lambda: plain.profile_object(profile, by),
        lambda *how: plain.profile_lines(profile, by, *how),
        output,
    )


def _format_of(output: str | None) -> str | None:
    """The format that the ending of a file stands for; None for text. Raises UsageError for other endings."""
    name = Path(output or "").name.lower()
    kind = next((kind for ending, kind in ENDINGS.items() if name.endswith(ending)), None)
    ending = Path(name).suffix
    if kind is None and ending not in ("", ".txt"):
        raise UsageError(
            f"{output}: {ending} is not a format of flame graphs",
            "there is .html, .json (speedscope), .pb.gz (pprof), .folded and .txt; or choose one with --to",
        )
    return kind


def _profile(targets: tuple[str, ...], duration: float, hz: int, token_file: str | None, what: str, by: str) -> Profile:
    from monitor.flame.load import from_recorded_set, from_recording

    recorded = recorded_set(targets)
    if recorded is not None:
        _no_tasks(by)
        return from_recorded_set(recorded, what)
    members = set_of(targets)
    if members is not None:
        _no_tasks(by)
        return _profile_of_all(members, duration, hz, token_file, what, by)
    path = recording_of(targets[0])
    if path is not None:
        return from_recording(path, what)
    from monitor.attach.injector import Injector
    from monitor.plain import flame as plain

    return plain.measure(connect(targets[0], token_file, Injector(notify=say)), duration, hz, what, by)


def _no_tasks(by: str) -> None:
    if by == "task":
        raise UsageError("--by task is for one program", "name one worker, or use --by process")


def _profile_of_all(members: Members, duration: float, hz: int, token_file: str | None, what: str, by: str) -> Profile:
    """Sample all processes of a set at the same time. Raises ConnectError if none answers."""
    from monitor.cli.answers import answers
    from monitor.flame.load import merged
    from monitor.plain import flame as plain

    there, found = answers(
        members,
        Connector(token_file),
        lambda connection: (connection.hello.pid, plain.measure(connection, duration, hz, what, by)),
        duration,
    )
    profiles = {f"{member.worker} ({found[member.worker][0]})": found[member.worker][1] for member in there}
    return merged(what, profiles)


def _print_difference(
    targets: tuple[str, ...], what: str, group: str, by: str, output: str | None, kind: str | None, as_json: bool
) -> int:
    from monitor.flame.load import from_file, from_recorded_set
    from monitor.plain import flame as plain

    if len(targets) != 2:
        raise UsageError("--diff compares two files", "looptop flame --diff A B")
    if kind not in (None, "html"):
        raise UsageError(f"--diff cannot be written as {kind}", "--to html, or --json")
    before, after = (
        from_file(Path(target), what) if recorded is None else from_recorded_set(recorded, what)
        for target in targets
        for recorded in [recorded_set((target,))]
    )
    if before.kind != after.kind:
        raise UsageError(f"{targets[0]} is {before.kind}, {targets[1]} is {after.kind}", "compare two of one kind")
    for profile in (before, after):
        profile.stacks = profile.stacks.only(group)
    if kind == "html":
        return _write(plain.difference_page(before, after, f"{targets[0]} → {targets[1]}", by), kind, output)
    return _print(
        as_json,
        lambda: plain.difference_object(before, after),
        lambda *how: plain.difference_lines(before, after, by, *how),
        output,
    )


def _print(as_json: bool, make: Callable[[], Object], lines: Callable[..., list[str]], output: str | None) -> int:
    """Print as JSON or as text, or write that to a file."""
    if output in (None, "-"):
        print_object(as_json, make, lines)
        return 0
    from monitor.plain.objects import dump

    text = dump(make()) if as_json else "\n".join(lines(200))
    return _write(f"{text}\n".encode("utf-8", "replace"), "json" if as_json else "text", output)


def _write(data: bytes, kind: str, output: str | None) -> int:
    if output in (None, "-"):
        if kind in BINARY and sys.stdout.isatty():
            raise UsageError(f"{kind} is not text", "write it to a file: -o FILE")
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return 0
    path = Path(str(output))
    try:
        path.write_bytes(data)
    except OSError as error:
        raise LooptopError(f"{path} cannot be written", error.strerror or str(error)) from None
    say(f"{path}: {len(data):,} bytes")
    return 0
