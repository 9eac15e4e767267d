"""`looptop run --record`: a recorder in a process of its own, beside a program that takes our place.

It belongs to nobody: forked twice, in a session of its own, it is no child of the program and gets none of its
signals. It keeps nothing of ours open but stderr, where it speaks only of what went wrong.
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
"""Seconds between two looks whether the probe is there yet."""

_MOST_FILES = 4096


class Beside:
    """The recorder. Made before any thread is; told later which program it is for."""

    def __init__(self, options: RecordOptions, quiet: bool = False) -> None:
        """`quiet`: not even what went wrong is said. Raises UsageError for a file that cannot be written."""
        file = File(options.path, rate=options.rate)
        reading, self._writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(self._writing)
            _leave(options, file, reading, quiet)
        os.close(reading)
        os.waitpid(child, 0)

    def begin(self, pid: int) -> None:
        """Records that program, from the moment that its probe is there until it ends."""
        with contextlib.suppress(OSError):
            os.write(self._writing, b"%d\n" % pid)
        os.close(self._writing)


def _leave(options: RecordOptions, file: File, reading: int, quiet: bool) -> None:
    """What the child does; does not return."""
    try:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE):
                signal.signal(number, signal.SIG_IGN if number == signal.SIGPIPE else signal.SIG_DFL)
            _close_all_but(file.fileno(), reading, quiet)
            try:
                _record(options, file, reading)
            except Exception as error:  # noqa: BLE001 - nobody else is there to hear of it
                _give_up(options, file, error)
    finally:
        os._exit(0)


def _close_all_but(file: int, reading: int, quiet: bool) -> None:
    """Whoever reads what the program prints must not have to wait for us, too."""
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
    """Nobody would see a traceback, and an empty file must not look like a recording."""
    from monitor.guard import say

    if not file.written:
        with contextlib.suppress(OSError):
            file.finish("the recorder failed")
    say(f"{options.path}: the recorder failed: {type(error).__name__}: {error}")


def _troubles(outcome: Outcome) -> list[str]:
    return outcome.lines() if outcome.problem is not None or outcome.dropped else []


def _reach(pid: int) -> Connection | None:
    """A connection to the probe of a process; None when that ends before there is one."""
    from monitor.attach.targets import resolve
    from monitor.transport.connection import connect

    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    except (OSError, AttributeError):  # an old kernel: then the probe is waited for as long as for any
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
    """Whether a process ends within so long; waits."""
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
