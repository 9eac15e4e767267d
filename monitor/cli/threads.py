"""`looptop threads`: what each thread of a program does."""

from __future__ import annotations

import click

from monitor.cli.output import json_option, print_object
from monitor.cli.target import connect, remote_options, target_argument, token_option
from monitor.guard import say


@click.command()
@target_argument
@json_option
@click.option("--duration", type=click.FloatRange(0.05, 3600), default=1.0, metavar="S", help="Look for S seconds (1).")
@remote_options
@token_option
def threads(target: str, as_json: bool, duration: float, token_file: str | None) -> int:
    """Print the threads of a program: CPU share, state, line, and the executor job with the task that asked for it.

    The probe's own threads are left out. With --json each has its whole stack.
    """
    from monitor.attach.injector import Injector
    from monitor.plain import threads as plain

    found = plain.look(connect(target, token_file, Injector(tell=say)), duration)
    print_object(as_json, lambda: plain.threads_object(found), lambda *how: plain.thread_lines(found, *how))
    return 0
