"""`looptop threads`: what each thread of a program does."""

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
@json_option
@click.option(
    "--duration", type=click.FloatRange(0.05, 3600), default=1.0, metavar="S", help="Watch for S seconds (1)."
)
@at_option
@remote_options
@token_option
def threads(targets: tuple[str, ...], as_json: bool, duration: float, at: str | None, token_file: str | None) -> int:
    """Print the threads of a program: CPU share, state, line, executor job and the task that asked for it.

    Of several programs in one table; of a recording or a black box as last looked at. The probe's
    own threads are left out. With --json each thread has its whole stack.
    """
    from monitor.plain import threads as plain
    from monitor.plain.thread_objects import threads_object

    def recorded_look(path: Path, moment: str | float | None) -> Store:
        from monitor.recording.reader import store_at

        store = store_at(path, moment)
        if not store.thread_looks:
            hint = "looptop record takes one every few seconds, a black box one every 10 s or so"
            raise UsageError("no look at the threads up to that time", hint)
        return store

    return print_answer(
        targets,
        token_file,
        at,
        as_json,
        ask=lambda connection: plain.look(connection, duration),
        takes=duration,
        read=recorded_look,
        thing=threads_object,
        lines=plain.thread_lines,
        together=plain.lines_of_all,
    )
