"""`looptop run` with the dashboard: runs the program under it and passes its exit status on."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from monitor.attach.launch import Launch, exit_status
from monitor.attach.program import PtyProgram
from monitor.attach.targets import resolve
from monitor.sources.live import LiveSource
from monitor.transport.connection import Connection, connect

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_MOMENT = 0.5
"""Seconds for a program to fail before the dashboard opens; if it does, only its output is shown."""

EXPECT = 10.0
"""Seconds for which the probe counts before the dashboard has connected."""


def run_below(
    launch: Launch, started: Callable[[int], None] | None = None, home: Callable[[str], int] | None = None
) -> int:
    """Run a program under the dashboard; `started` is called with its pid. Returns the program's exit status.

    If the user leaves for a section of the connect screen, `home` is called with it once the program has been stopped.
    """
    program, source = start_below(launch)
    gone_to: list[str] = []

    def go(section: str) -> int:
        gone_to.append(section)
        return 0

    if started is not None:
        started(program.pid)
    try:
        if _ended_at_once(program):
            return _print_all(program)
        from monitor.attach.programs import where_loops_are
        from monitor.tui import run_dashboard

        def workers() -> int:
            from monitor.cli.service import show_workers

            status, section = show_workers(str(program.pid))
            gone_to.extend([section] if section else [])
            return status

        left = run_dashboard(
            source,
            program=program,
            home=None if home is None else go,
            loops_below=where_loops_are,
            workers=workers,
        )
        if left and program.running:  # by a signal, or because it failed: the user should know
            return left
    finally:
        program.close()
        source.close()
    if home is not None and gone_to:
        return home(gone_to[0])
    if program.exit_status and not program.stopped:
        _report_output(program)
    return _status(program)


def start_below(launch: Launch) -> tuple[PtyProgram, LiveSource]:
    """Start a program in a pseudo-terminal and create its frame source. Raises UsageError if it cannot be started."""
    launch = replace(launch, settings=replace(launch.settings, announce=False, expect=EXPECT))
    rows, columns = _size()
    program = PtyProgram(launch, rows, columns)

    def reach() -> Connection:
        return connect(resolve(str(program.pid)))

    return program, LiveSource(reach, ended=program.how_it_ended, eager=True)


def _ended_at_once(program: PtyProgram) -> bool:
    """Whether the program ends within FIRST_MOMENT. Imports Textual meanwhile."""
    until = time.monotonic() + FIRST_MOMENT
    import monitor.tui.app  # noqa: F401 - 0.3 s, in parallel with the program's start

    return program.wait(max(until - time.monotonic(), 0.0))


def _print_all(program: PtyProgram) -> int:
    """Print all output of a short program, as if it had not run in its own terminal."""
    program.close()
    sys.stdout.write("".join(line + "\n" for line in program.output()))
    sys.stdout.flush()
    sys.stderr.write(f"looptop: {program.how_it_ended()} before it could be watched{_last_minutes(program)}\n")
    return _status(program)


def _status(program: PtyProgram) -> int:
    """The status to pass on; 1 if not even SIGKILL ended the program, because it hangs in the kernel."""
    return 1 if program.exit_status is None else exit_status(program.exit_status)


def _report_output(program: PtyProgram) -> None:
    """Print the last output of the program, and how it ended."""
    lines = program.last_output()
    sys.stderr.write(
        "".join(line + "\n" for line in lines) + f"looptop: {program.how_it_ended()}{_last_minutes(program)}\n"
    )
    sys.stderr.flush()


def _last_minutes(program: PtyProgram) -> str:
    return "" if program.box is None else f"; its last minutes: looptop postmortem {program.pid}"


def _size() -> tuple[int, int]:
    """Rows and columns of the terminal in which the output will be shown."""
    try:
        columns, rows = os.get_terminal_size()
    except OSError:
        return 24, 80
    return rows or 24, columns or 80
