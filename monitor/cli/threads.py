"""`looptop threads`: what each thread of a program does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from monitor.cli.output import json_option, print_object
from monitor.cli.target import (
    Connector,
    at_option,
    connect,
    only_recorded,
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
    from pathlib import Path

    from monitor.store.store import Store


@click.command()
@targets_argument
@json_option
@click.option("--duration", type=click.FloatRange(0.05, 3600), default=1.0, metavar="S", help="Look for S seconds (1).")
@at_option
@remote_options
@token_option
def threads(targets: tuple[str, ...], as_json: bool, duration: float, at: str | None, token_file: str | None) -> int:
    """Print the threads of a program: CPU share, state, line, executor job and the task that asked for it.

    Of several programs in one table; of a recording at its end or at a time. The probe's own threads are left out.
    With --json each thread has its whole stack.
    """
    from monitor.attach.injector import Injector
    from monitor.plain import threads as plain

    def recorded_look(path: Path, moment: str | float | None) -> Store:
        from monitor.recording.reader import store_at

        store = store_at(path, moment)
        if not store.thread_looks:
            raise UsageError("no look at the threads up to that time", "looptop record takes one every few seconds")
        return store

    recorded = recorded_set(targets)
    if recorded is not None:
        from monitor.cli.each_worker import print_recorded

        return print_recorded(recorded, at, recorded_look, as_json, plain.threads_object, None, plain.lines_of_all)
    members = set_of(targets)
    if members is not None:
        only_recorded(at)
        from monitor.cli.each_worker import print_each

        return print_each(
            members,
            Connector(token_file),
            lambda connection: plain.look(connection, duration),
            duration,
            as_json,
            plain.threads_object,
            None,
            plain.lines_of_all,
        )
    path = recording_of(targets[0], at)
    if path is not None:
        store = recorded_look(path, at)
    else:
        store = plain.look(connect(targets[0], token_file, Injector(notify=say)), duration)
    print_object(as_json, lambda: plain.threads_object(store), lambda *how: plain.thread_lines(store, *how))
    return 0
