"""`looptop run` with the dashboard: the program below it, its end and its status passed on."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace

from monitor.attach.launch import Launch, exit_status
from monitor.attach.program import PtyProgram
from monitor.sources.connection import Connection, connect
from monitor.sources.live import LiveSource
from monitor.targets import resolve

FIRST_MOMENT = 0.5
"""Seconds that a program has to fail before the dashboard opens: then its output is all there is to show."""

EXPECT = 10.0
"""Seconds for which the probe counts although the dashboard is not there yet."""


def run_below(launch: Launch) -> int:
    """Runs a program under the dashboard. The status is that of the program."""
    launch = replace(launch, settings=replace(launch.settings, announce=False, expect=EXPECT))
    rows, columns = _size()
    program = PtyProgram(launch, rows, columns)

    def reach() -> Connection:
        return connect(resolve(str(program.pid)))

    source = LiveSource(reach, ended=program.how_it_ended, eager=True)
    try:
        if not _ended_at_once(program):
            from monitor.tui import run_dashboard

            left = run_dashboard(source, program=program)
            if left and program.running:  # by a signal, or because it failed: that is what is to be known
                return left
    finally:
        program.close()
        source.close()
    status = program.exit_status
    if status is None:  # not even SIGKILL ended it: it hangs in the kernel
        return 1
    if status != 0 and not program.stopped:
        _tell(program)
    return exit_status(status)


def _ended_at_once(program: PtyProgram) -> bool:
    """Whether the program ends before anything can be seen of it."""
    until = time.monotonic() + FIRST_MOMENT
    while time.monotonic() < until:
        if program.wait(0.05):
            program.close()
            if program.exit_status == 0:
                _tell(program)
            return True
    return False


def _tell(program: PtyProgram) -> None:
    """What the program said last, and how it ended."""
    lines = program.last_output()
    sys.stderr.write("".join(line + "\n" for line in lines) + f"looptop: {program.how_it_ended()}\n")
    sys.stderr.flush()


def _size() -> tuple[int, int]:
    """Rows and columns of the terminal that the output will be shown in."""
    try:
        columns, rows = os.get_terminal_size()
    except OSError:
        return 24, 80
    return rows or 24, columns or 80
