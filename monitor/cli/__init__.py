"""The commands. Each is imported when it is used, and imports what it needs when it runs: looptop starts fast."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

from monitor.cli.via import command_given, commands_given, via_option
from monitor.errors import UsageError
from monitor.guard import guarded, say
from probes.base.protocol import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

YOUNG_OBJECTS = 10_000
"""Young objects that trigger a garbage collection while a command runs."""


MODULES = {
    "run": "launching",
    "attach": "attaching",
    "detach": "attaching",
    "arm": "attaching",
    "disarm": "attaching",
    "ps": "attaching",
    "tasks": "tasks",
    "watch": "watch",
    "findings": "findings",
    "metrics": "metrics",
    "memory": "memory",
    "profile": "memory",
    "groups": "groups",
    "threads": "threads",
    "why": "tracing",
    "trace": "tracing",
    "flame": "flame",
    "record": "recording",
    "compare": "recording",
    "export": "recording",
    "replay": "recording",
    "postmortem": "postmortem",
    "check": "checking",
    "config": "config",
    "demo": "catalogue",
    "samples": "catalogue",
}
"""Each command, and the module of this package that defines it under that name."""


class Commands(click.Group):
    """Imports a command when it is used, and lists each with its whole first sentence, which click would cut."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands, sorted."""
        return sorted(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command. If none has that name, import them all: click suggests similar ones."""
        for name in (cmd_name,) if cmd_name in MODULES else MODULES:
            if name not in self.commands:
                self.add_command(getattr(import_module(f"monitor.cli.{MODULES[name]}"), name))
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, wrapping long sentences."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, command.get_short_help_str(1000)) for name, command in commands if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(VERSION, prog_name="looptop")
@via_option
@click.pass_context
def cli(ctx: click.Context) -> int | None:
    """Top for the event loop: every task of a running asyncio program, and the line that blocks its loop.

    TARGET is a pid, unix:PATH, HOST:PORT, @NAME or a recording.
    """
    if ctx.invoked_subcommand is None:
        return start(command_given())
    if commands_given():
        command = ctx.invoked_subcommand
        raise UsageError("--via belongs to the command", f"write it behind: looptop {command} … --via COMMAND")
    return None


def start(via: str | None = None) -> int:
    """`looptop` alone: the connect screen; without a terminal, the running programs and a hint.

    `via`: of the other side of that command.
    """
    from monitor import terminal

    if isinstance(terminal.decide_here(), terminal.Tui):
        from monitor.cli.home import connect_screen

        return connect_screen(via=via)
    from monitor.cli.output import print_programs

    if via is not None:
        from monitor.attach import elsewhere

        print_programs(elsewhere.programs(via))
        return 0
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
