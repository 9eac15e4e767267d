"""`looptop run`: starts a program under the probe."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.target import locals_option, token_option
from monitor.guard import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.attach.launch import Launch
    from monitor.recording.detached_recorder import DetachedRecorder

COUNTED = 10.0
"""Seconds for which the probe counts before its recorder has connected."""

FAREWELL = 5.0
"""Seconds for the recorder to finish its file after the program has ended."""


class ProgramCommand(click.Command):
    """A command whose options end at the program: everything after it is the program's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Split the command line and parse looptop's part."""
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
@click.option(
    "--headless", is_flag=True, help="No dashboard: run only the program, and print on stderr where to connect."
)
@click.option("--listen", metavar="ADDRESS", help="Also listen on HOST:PORT (viewers need the token) or unix:PATH.")
@click.option("--cert", metavar="FILE", help="Certificate for TLS, with --listen HOST:PORT.")
@click.option("--key", metavar="FILE", help="Private key of the certificate.")
@click.option("--insecure", is_flag=True, help="Listen beyond loopback without TLS.")
@click.option("--record", metavar="FILE", help="Record the whole run to a file.")
@click.option("--name", help="Name by which commands find the program, as @NAME.")
@click.option("--python", metavar="PATH", help="Interpreter to run it with (that of the active environment).")
@click.option("--slow", type=click.FloatRange(0.01), metavar="S", help="Threshold of slow callbacks (0.1).")
@click.option(
    "--children/--no-children",
    default=None,
    help="Also a probe in each process that it starts with multiprocessing; the default for servers with workers.",
)
@locals_option
@token_option
@click.pass_context
def run(
    ctx: click.Context,
    headless: bool,
    listen: str | None,
    cert: str | None,
    key: str | None,
    insecure: bool,
    record: str | None,
    name: str | None,
    python: str | None,
    slow: float | None,
    children: bool | None,
    keep_locals: bool,
    token_file: str | None,
) -> int:
    """Run a program and watch it. What follows SCRIPT or -m MODULE is passed to the program."""
    from monitor.attach.launch import Launch, Settings, check_listen, command

    check_listen(listen, cert, key, insecure)
    argv = command(python, ctx.meta["looptop.program"])
    expect = None if record is None else COUNTED
    settings = Settings(
        name,
        listen,
        slow,
        token_file,
        expect,
        locals=keep_locals or None,
        cert=_absolute(cert),
        key=_absolute(key),
        insecure=insecure or None,
    )
    return watch_program(Launch(argv, settings, children), headless, record)


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(path)  # noqa: PTH100 - links stay: certificates are renewed so


def watch_program(launch: Launch, headless: bool, record: str | None = None) -> int:
    """Run a program under the dashboard, or in place of this process; `record` names a recording to make."""
    from monitor import terminal

    decision = terminal.decide_here()
    if not headless and not isinstance(decision, terminal.Tui):
        say(f"{decision.reason}: running as with --headless")
        headless = True
    recorder = None if record is None else _recorder(record, launch.settings.slow, quiet=not headless)
    if recorder is not None and launch.with_workers:
        say("that is a recording of the parent only; of its workers: looptop record PID -o FOLDER once they run")
    if headless:
        if launch.lost_workers:
            say(f"its workers have no probe: {launch.lost_workers}, or looptop arm {os.getpid()} once they run")
        if recorder is not None:
            recorder.begin(os.getpid())
        launch.become()
    from monitor.cli.home import connect_screen
    from monitor.cli.run_dashboard import run_below
    from monitor.findings import thresholds

    thresholds.load()  # reports an invalid file before anything runs
    begin = None if recorder is None else recorder.begin
    status = run_below(launch, started=begin, home=None if recorder is not None else connect_screen)
    if record is not None:
        _report_recorded(Path(record))
    return status


def _recorder(record: str, slow: float | None, quiet: bool) -> DetachedRecorder:
    """Start the recorder process, which has to happen before this process has threads."""
    from monitor.recording.detached_recorder import DetachedRecorder
    from monitor.recording.record import RecordOptions, check

    options = RecordOptions(Path(record), slow=slow)
    check(options)
    recorder = DetachedRecorder(options, quiet)
    say(f"recording to {record}")
    return recorder


def _report_recorded(path: Path) -> None:
    """Report the result of a recording that ran under a dashboard, where the recorder could not print it."""
    from monitor import formatting as fmt
    from monitor.recording.metadata import about

    until = time.monotonic() + FAREWELL
    while True:
        found = about(path)
        if (found is not None and found.whole) or not path.exists() or time.monotonic() > until:
            break
        time.sleep(0.05)
    if found is None or found.duration is None:
        say(f"{path}: nothing is recorded")
    else:
        end = "" if found.whole else ", but it was not finished"
        say(f"{path}: {fmt.duration(found.duration)}, {fmt.size(found.size)}{end}")
