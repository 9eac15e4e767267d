"""The commands. Each imports what it needs when it runs, so that `looptop --help` starts fast."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

import click

from monitor.cli.attaching import arm, attach, detach, disarm, ps
from monitor.cli.catalogue import demo, samples
from monitor.cli.checking import check
from monitor.cli.config import config
from monitor.cli.findings import findings
from monitor.cli.flame import flame
from monitor.cli.groups import groups
from monitor.cli.inspect import memory, profile, tasks, watch
from monitor.cli.launching import run
from monitor.cli.metrics import metrics
from monitor.cli.output import print_programs
from monitor.cli.postmortem import postmortem
from monitor.cli.recording import compare, export, record, replay
from monitor.cli.threads import threads
from monitor.cli.tracing import trace, why
from monitor.guard import guarded, say

if TYPE_CHECKING:
    from collections.abc import Sequence

YOUNG_OBJECTS = 10_000
"""Young objects that trigger a garbage collection while a command runs."""


class Commands(click.Group):
    """Lists each command with its whole first sentence, which click would cut at the end of the line."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the list of commands, wrapping long sentences."""
        rows = [(name, command.get_short_help_str(1000)) for name, command in sorted(self.commands.items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="looptop", prog_name="looptop")
@click.pass_context
def cli(ctx: click.Context) -> int | None:
    """Top for the event loop: every task of a running asyncio program, and the line that blocks its loop.

    TARGET is a pid, unix:PATH, HOST:PORT, @NAME or a recording.
    """
    return start() if ctx.invoked_subcommand is None else None


_COMMANDS = (
    run,
    attach,
    detach,
    arm,
    disarm,
    ps,
    tasks,
    watch,
    findings,
    metrics,
    memory,
    profile,
    groups,
    threads,
    why,
    trace,
    flame,
    record,
    compare,
    export,
    replay,
    postmortem,
    check,
    config,
    demo,
    samples,
)
for _command in _COMMANDS:
    cli.add_command(_command)


def start() -> int:
    """`looptop` alone: the connect screen; without a terminal, the running programs and a hint."""
    from monitor import terminal

    if isinstance(terminal.decide_here(), terminal.Tui):
        from monitor.cli.home import connect_screen

        return connect_screen()
    from monitor.attach.programs import programs

    listed = programs()
    print_programs(listed)
    watchable = any(program.watchable for program in listed)
    say(f"next: {'looptop attach PID' if watchable else 'looptop run SCRIPT, or looptop demo'}")
    return 0


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of the command `looptop`; returns the exit status.

    Without `args` looptop owns the process, and tunes the garbage collector.
    """
    if args is not None:
        return guarded(lambda: _invoke(list(args)))
    gc.set_threshold(YOUNG_OBJECTS)  # at the default of 700, collections take a fifteenth of the start-up time
    try:
        return guarded(lambda: _invoke(sys.argv[1:]))
    finally:
        gc.freeze()  # skips the collection at exit: 30 ms for memory that the process returns anyway


def _invoke(args: list[str]) -> int:
    with cli.make_context("looptop", args) as context:
        status = cli.invoke(context)
    return status if isinstance(status, int) else 0
