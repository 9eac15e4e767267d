"""`looptop memory` and `looptop profile`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from monitor.cli.answers import print_answer
from monitor.cli.output import json_option
from monitor.cli.target import at_option, remote_options, targets_argument, token_option
from monitor.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.store.store import Store


@click.command()
@targets_argument
@click.option(
    "--duration", type=click.FloatRange(0.1, 86_400), default=10.0, metavar="S", help="Trace for S seconds (10)."
)
@click.option(
    "--frames",
    type=click.IntRange(1, 25),
    metavar="N",
    help="Keep N frames per block (as many as lead to a line of your own).",
)
@click.option(
    "--group",
    type=click.Choice(["lineno", "filename", "traceback"]),
    help="What a row stands for (lineno; of a recording: as in its last snapshot).",
)
@click.option("--limit", type=click.IntRange(1, 500), default=20, metavar="N", help="Limit to N rows (20).")
@click.option("--hide", type=click.Choice(["stdlib", "packages"]), multiple=True, help="Leave out these files.")
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
    from monitor.plain import memory as plain

    options = plain.TracingOptions(duration, frames or 0, group or "lineno", limit, ("probe", *hide))
    return print_answer(
        targets,
        token_file,
        at,
        as_json,
        ask=lambda connection: plain.measure(connection, options),
        takes=duration + plain.BEFORE,
        read=lambda path, moment: plain.recorded_growth(path, moment, group, limit),
        thing=plain.growth_object,
        lines=plain.growth_lines,
        notes=lambda growth: growth.notes,
        before_reading=lambda: _only_live("duration", "frames", "hide"),
    )


@click.command()
@targets_argument
@click.option(
    "--calls", type=click.IntRange(0, 1000), default=100, metavar="N", help="With --json, the newest N calls (100)."
)
@json_option
@at_option
@remote_options
@token_option
def profile(targets: tuple[str, ...], calls: int, as_json: bool, at: str | None, token_file: str | None) -> int:
    """Print what functions decorated with probes.profile_time or profile_memory took.

    Of a service, there is a section for each worker.
    """
    from monitor.plain import memory as plain

    def read(path: Path, moment: str | float | None) -> Store:
        from monitor.recording.reader import store_at

        return store_at(path, moment)

    return print_answer(
        targets,
        token_file,
        at,
        as_json,
        ask=lambda connection: plain.profiles(connection, calls if as_json else 0),
        takes=0.0,
        read=read,
        thing=plain.profiles_object,
        lines=plain.profiles_lines,
        inject=False,
    )


def _only_live(*names: str) -> None:
    """Raise UsageError if options were given that do not apply to a recording."""
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise UsageError(f"--{name} is for a running program", "a recording only has the snapshots taken then")
