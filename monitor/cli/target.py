"""The TARGET argument of commands: its options, connecting to it, and opening the dashboard on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from monitor.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from monitor.attach.target_connection import Reach
    from monitor.transport.address import Address
    from monitor.transport.connection import Connection


token_option = click.option("--token-file", metavar="FILE", help="File with the token, for a program on TCP.")
read_only_option = click.option(
    "--read-only", is_flag=True, help="Put nothing into it: only read its tasks, from outside (Python 3.14+)."
)


at_option = click.option("--at", metavar="T", help="Of a recording: seconds since its start (90, 2m) or a clock time.")


def recording_of(target: str, at: str | None = None) -> Path | None:
    """The recording that a TARGET names; None for a running program. Raises UsageError if `at` is given for one."""
    from monitor.attach.targets import recording

    path = recording(target)
    if path is None and at is not None:
        raise UsageError("--at is for a recording", f"{target} is none")
    return path


locals_option = click.option(
    "--locals", "keep_locals", is_flag=True, help="Keep the local names of what fails; what looks secret is masked."
)


def connect(target: str, token_file: str | None, enter: Callable[[int], Address] | None = None) -> Connection:
    """Connect to a TARGET; `enter` injects a probe into a pid that has none. Raises LooptopError."""
    from monitor.attach.targets import resolve
    from monitor.transport.connection import connect

    return connect(resolve(target, enter=enter), token_file)


def open_dashboard(reach: Reach, keep_locals: bool = False) -> int:
    """Open the dashboard on a running program; problems with the target are reported before it opens."""
    from monitor.cli.home import connect_screen
    from monitor.findings import thresholds
    from monitor.sources.live import LiveSource

    thresholds.load()  # reports an invalid file before a probe is injected

    from monitor.tui import FIRST_WATCH, run_dashboard

    source = LiveSource(reach.again, first=reach.first())
    source.watch(**FIRST_WATCH)
    source.start()  # the first frames arrive while the screens are loading
    from monitor.attach.programs import where_loops_are

    return run_dashboard(source, home=connect_screen, keep_locals=keep_locals, loops_below=where_loops_are)
