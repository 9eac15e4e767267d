"""`looptop run`: a program that we start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from monitor.cli.target import token_option
from monitor.errors import UsageError
from monitor.guard import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.attach.launch import Launch


class ProgramCommand(click.Command):
    """A command whose options end where the program begins: all that follows belongs to the program."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Splits the line, and parses the part that is ours."""
        where = self._program_begins(args)
        ctx.meta["looptop.program"] = args[where:][1:] if args[where : where + 1] == ["--"] else args[where:]
        return super().parse_args(ctx, args[:where])

    def _program_begins(self, args: Sequence[str]) -> int:
        takes_value = {
            name
            for option in self.params
            if isinstance(option, click.Option) and not option.is_flag
            for name in option.opts
        }
        i = 0
        while i < len(args):
            word = args[i]
            if word == "--" or not word.startswith("-") or (word.startswith("-m") and not word.startswith("--")):
                return i
            i += 2 if word in takes_value else 1
        return len(args)


@click.command(cls=ProgramCommand, options_metavar="[OPTIONS] [--] SCRIPT [ARG]... | -m MODULE [ARG]...")
@click.option("--headless", is_flag=True, help="No dashboard: only the program, and where to connect, on stderr.")
@click.option("--listen", metavar="HOST:PORT", help="Also listen on TCP; viewers need the token.")
@click.option("--record", metavar="FILE", help="Record all of it.")
@click.option("--name", help="Name to find the program by: @NAME.")
@click.option("--python", metavar="PATH", help="Interpreter; default: that of the active environment.")
@click.option("--slow", type=click.FloatRange(0.01), metavar="S", help="Threshold of slow callbacks (0.1).")
@token_option
@click.pass_context
def run(
    ctx: click.Context,
    headless: bool,
    listen: str | None,
    record: str | None,
    name: str | None,
    python: str | None,
    slow: float | None,
    token_file: str | None,
) -> int:
    """Run a program and watch it. What follows SCRIPT or -m MODULE belongs to the program."""
    from monitor.attach.launch import Launch, Settings, check_listen, command

    if record is not None:
        raise UsageError("recording comes with a later version", "leave --record out")
    check_listen(listen)
    argv = command(python, ctx.meta["looptop.program"])
    settings = Settings(name=name, listen=listen, slow=slow, token_file=token_file)
    return watch_program(Launch(argv, settings), headless)


def watch_program(launch: Launch, headless: bool) -> int:
    """A program under the dashboard, or in our place."""
    from monitor import terminal

    decision = terminal.decide_here()
    if not headless and not isinstance(decision, terminal.Tui):
        say(f"{decision.reason}: running as with --headless")
        headless = True
    if headless:
        launch.become()
    from monitor.attach.below import run_below

    return run_below(launch)
