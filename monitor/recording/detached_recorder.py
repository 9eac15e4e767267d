"""`looptop run --headless --record`: a recorder in a separate process, beside the program that replaces this one.

It is forked twice and leads its own session, so it is not a child of the program and gets none of its signals. Of
looptop's descriptors it keeps only stderr, and writes to it only if something goes wrong.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from typing import TYPE_CHECKING

from monitor.errors import ConnectError, LooptopError
from monitor.recording.writer import File

if TYPE_CHECKING:
    from monitor.recording.record import Outcome, RecordOptions
    from monitor.transport.connection import Connection

FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.5
"""Seconds between two attempts to reach the probe: the first and the longest."""

_MOST_FILES = 4096


class DetachedRecorder:
    """The recorder process. Forked before any thread starts; which program to record is sent to it later."""

    def __init__(self, options: RecordOptions, quiet: bool = False) -> None:
        """`quiet`: report no errors. Raises UsageError if the file cannot be written."""
        file = File(options.path, rate=options.rate)
        reading, self._writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(self._writing)
            _leave(options, file, reading, quiet)
        os.close(reading)
        os.waitpid(child, 0)

    def begin(self, pid: int) -> None:
        """Record the program from the moment its probe answers until it ends."""
        with contextlib.suppress(OSError):
            os.write(self._writing, b"%d\n" % pid)
        os.close(self._writing)


def _leave(options: RecordOptions, file: File, reading: int, quiet: bool) -> None:
    """The life of the child process. Does not return."""
    try:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE):
                signal.signal(number, signal.SIG_IGN if number == signal.SIGPIPE else signal.SIG_DFL)
            _close_all_but(file.fileno(), reading, quiet)
            try:
                _record(options, file, reading)
            except Exception as error:  # noqa: BLE001 - no caller is left to report it
                _give_up(options, file, error)
    finally:
        os._exit(0)


def _close_all_but(file: int, reading: int, quiet: bool) -> None:
    """Close inherited descriptors: a reader of the program's output must not wait for this process as well."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2) if quiet else (0, 1):
        os.dup2(null, number)
    before = 2
    for number in [*sorted((file, reading)), _MOST_FILES]:
        os.closerange(before + 1, number)
        before = number


def _record(options: RecordOptions, file: File, reading: int) -> None:
    from monitor.guard import say
    from monitor.recording.record import record

    with open(reading, "rb", buffering=0) as pipe:
        word = pipe.read(20)
    connection = _reach(int(word)) if word.strip().isdigit() else None
    if connection is None:
        file.finish("the program ended before it could be recorded")
        if word:
            say(f"{options.path}: nothing is recorded: the program ended before its probe was there")
        return
    try:
        outcome = record(connection, options, file=file)
    except LooptopError as error:
        say(f"{options.path}: {error}")
        return
    for line in _troubles(outcome):
        say(line)


def _give_up(options: RecordOptions, file: File, error: Exception) -> None:
    """Report the error in one line, and remove the file if nothing was recorded."""
    from monitor.guard import say

    if not file.written:
        with contextlib.suppress(OSError):
            file.finish("the recorder failed")
    say(f"{options.path}: the recorder failed: {type(error).__name__}: {error}")


def _troubles(outcome: Outcome) -> list[str]:
    return outcome.lines() if outcome.problem is not None or outcome.dropped else []


def _reach(pid: int) -> Connection | None:
    """Connect to the probe of a process. None if the process ends first."""
    from monitor.attach.targets import resolve
    from monitor.transport.connection import connect

    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    except (OSError, AttributeError):  # kernel without pidfd_open: rely on the deadline
        process = None
    pause = FIRST_PAUSE
    while True:
        try:
            return connect(resolve(str(pid)))
        except ConnectError:
            if _ends(pid, process, pause):
                return None
        except LooptopError:
            return None
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _ends(pid: int, process: int | None, seconds: float) -> bool:
    """Wait until a process ends, for `seconds` at most. True if it has ended."""
    if process is not None:
        return bool(select.select([process], [], [], seconds)[0])
    time.sleep(seconds)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
