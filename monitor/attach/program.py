"""Runs a program under the dashboard: in its own pseudo-terminal, with its output kept, stopped at the end."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import signal
import struct
import termios
import threading
from collections import deque
from typing import TYPE_CHECKING

from monitor.attach.launch import Launch, describe_status
from monitor.errors import UsageError

if TYPE_CHECKING:
    from monitor.attach import boxes

MOST_LINES = 5_000
MOST_CHARACTERS = 4_000_000
LONGEST_LINE = 10_000
LAST_LINES = 40
GRACE = 5.0
"""Seconds for the program to end after each signal, before the next, harder one."""


class Output:
    """Output of a program as lines, with its ANSI codes. At most 5,000 lines are buffered; the oldest are dropped."""

    def __init__(self) -> None:
        self.printed = 0  # lines in total
        self._waiting: deque[str] = deque()
        self._characters = 0
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._open = ""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._lock = threading.Lock()

    def add(self, data: bytes, final: bool = False) -> None:
        """Add bytes read from the terminal."""
        with self._lock:
            *lines, self._open = (self._open + self._decode(data, final)).split("\n")
            for line in lines:
                self._keep(line)
            while len(self._open) > LONGEST_LINE:
                self._keep(self._open[:LONGEST_LINE])
                self._open = self._open[LONGEST_LINE:]
            if final and self._open:
                self._keep(self._open)
                self._open = ""

    def take(self) -> list[str]:
        """Lines added since the last call."""
        with self._lock:
            lines = list(self._waiting)
            self._waiting.clear()
            self._characters = 0
            return lines

    def last(self) -> list[str]:
        """The last lines, taken or not."""
        with self._lock:
            return list(self._last)

    def _keep(self, line: str) -> None:
        line = _seen(line)[:LONGEST_LINE]
        self._last.append(line)
        self._waiting.append(line)
        self._characters += len(line)
        self.printed += 1
        while len(self._waiting) > MOST_LINES or self._characters > MOST_CHARACTERS:
            self._characters -= len(self._waiting.popleft())


def _seen(line: str) -> str:
    """The visible text of a line that was overwritten with carriage returns."""
    return line.rstrip("\r").rpartition("\r")[2]


class PtyProgram:
    """A program in a pseudo-terminal. It has no stdin, and receives SIGHUP when looptop ends, however that happens."""

    def __init__(self, launch: Launch, rows: int = 40, columns: int = 120) -> None:
        self._output = Output()
        self._asked = threading.Semaphore(0)
        self.stopped = False  # by us
        self._master, slave = pty.openpty()
        try:
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            self.pid = _spawn(launch, os.ttyname(slave))
        except OSError as error:
            os.close(self._master)
            raise UsageError(f"{launch.argv[0]} cannot be started", error.strerror or str(error)) from None
        finally:
            os.close(slave)
        self._status = 0
        self.box: boxes.Box | None = None  # its black box, once it has ended
        self._ended = threading.Event()
        threading.Thread(target=self._wait, name="looptop-wait", daemon=True).start()
        self._reader = threading.Thread(target=self._read, name="looptop-output", daemon=True)
        self._reader.start()

    @property
    def running(self) -> bool:
        """Whether the program has not ended yet."""
        return not self._ended.is_set()

    @property
    def exit_status(self) -> int | None:
        """Negative for the signal that ended it; None while it runs."""
        return self._status if self._ended.is_set() else None

    def how_it_ended(self) -> str | None:
        """How the program ended, in words; None while it runs."""
        return describe_status(self._status) if self._ended.is_set() else None

    def output(self) -> list[str]:
        """Output since the last call, stdout and stderr interleaved, with ANSI codes."""
        return self._output.take()

    def last_output(self) -> list[str]:
        """The last lines of output."""
        return self._output.last()

    def stop(self) -> None:
        """Send SIGINT, like Ctrl+C, then harder signals after some seconds or on the next call. Does not wait."""
        if not self.running:
            return
        self._asked.release()
        if not self.stopped:
            self.stopped = True
            threading.Thread(target=self._stop, name="looptop-stop", daemon=True).start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; False on timeout."""
        return self._ended.wait(timeout)

    def close(self) -> None:
        """Stop the program if it still runs, and read its remaining output."""
        if self.running:
            self.stop()
        self.wait(3 * GRACE)
        self._reader.join(1.0)

    def _stop(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            self._asked.acquire(timeout=GRACE)
            if not self.running:
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def _wait(self) -> None:
        self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        from monitor.attach import boxes

        self.box = boxes.of_process(self.pid)
        if self.box is not None:
            boxes.note_status(self.box, self._status)
        self._ended.set()
        self._asked.release()

    def _read(self) -> None:
        """Read until the last process that has the terminal open has ended."""
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # EIO: no process has the other end open
                data = b""
            if not data:
                break
            self._output.add(data)
        self._output.add(b"", final=True)


def _spawn(launch: Launch, terminal: str) -> int:
    """Start a program as the leader of its own session, which gets SIGHUP when looptop ends. Raises OSError.

    The first terminal that a session leader opens becomes its controlling terminal. No Python code runs in the child,
    as a `preexec_fn` would: the dashboard has threads, and one of them may hold a lock at that moment.
    """
    return os.posix_spawn(
        launch.argv[0],
        launch.argv,
        launch.environment(),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, terminal, os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python itself ignores these two
    )
