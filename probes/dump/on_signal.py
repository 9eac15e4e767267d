"""Has a signal wake the probe's thread, which then writes the tasks to stderr.

The signal is taken by `faulthandler`, whose handler in C writes to a socket of the probe: no code of Python runs in the
program's thread, so a blocked loop does not matter, nor how the program handles signals (`signal.getsignal`,
`set_wakeup_fd`). System calls are restarted (SA_RESTART). The traceback that it writes is discarded.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from ..base.owned_fds import OwnSocket
from ..base.settings import text_of, warn
from . import tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..hooks.loops import Loops

HEADING = b"Stack (most recent"
"""How the traceback of each signal begins. It arrives line by line, and wakes the thread more than once."""
ALLOWED = ("SIGUSR1", "SIGUSR2", "SIGQUIT")
"""Others end, stop or continue programs, or tell them about children."""
PATIENCE = 2.0
"""Seconds that a stderr which nobody reads may take for the text; viewers wait meanwhile."""
PIECE = 4096
"""At most as much as fits a pipe that poll(2) reports writable (PIPE_BUF), so that no write blocks."""


class DumpSignal:
    """Writes the tasks to stderr at each arrival of a signal, from `start` to `stop`."""

    def __init__(self, name: str, loops: Loops) -> None:
        self._name = name.upper() if name.upper().startswith("SIG") or not name else f"SIG{name.upper()}"
        self._loops = loops
        self._number = 0
        self._sockets: tuple[OwnSocket, OwnSocket] | None = None

    def start(self, listen: Callable[[socket.socket, Callable[[], None]], None]) -> None:
        """Takes the signal; a reason against it is one line on stderr. `listen` has the probe's thread call back."""
        if not self._name:
            return
        why = _objection(self._name)
        if why:
            warn(f"no tasks at a signal, dump_signal={self._name} is refused: {why}")
            return
        number = int(getattr(signal, self._name))
        inside, outside = socket.socketpair()
        self._sockets = OwnSocket(inside), OwnSocket(outside)
        try:
            import faulthandler

            # Of a probe before this one whose signal the program took over: register would do nothing.
            faulthandler.unregister(number)
            faulthandler.register(number, file=outside.fileno(), all_threads=False, chain=False)
        except Exception as error:
            warn(f"no tasks at a signal: {text_of(error)}")
            self._close()
            return
        self._number = number
        listen(inside, self._arrived)

    def _arrived(self) -> None:
        """Called in the probe's thread."""
        if self._sockets is None:
            return
        ours = self._sockets[0]
        ours.check()
        written = b""
        with suppress(BlockingIOError):
            while piece := ours.socket.recv(1 << 16):
                written += piece
        if HEADING not in written:
            return  # the rest of a traceback that this thread was faster than
        try:
            text = "\n".join(tree.lines(os.getpid(), self._loops)) + "\n"
        except Exception as error:
            warn(f"the tasks could not be written: {text_of(error)}")
            return
        _write(text.encode("utf-8", "backslashreplace"))

    def stop(self) -> None:
        """Gives the signal back, unless the program has a handler of its own by now."""
        number, self._number = self._number, 0
        if number and signal.getsignal(number) is signal.SIG_DFL:
            import faulthandler

            faulthandler.unregister(number)
        self._close()

    def _close(self) -> None:
        sockets, self._sockets = self._sockets, None
        for own in sockets or ():
            own.close()


def _objection(name: str) -> str:
    """Why a signal cannot be taken; empty if it can."""
    if name not in ALLOWED:
        return f"it must be one of {', '.join(ALLOWED)}"
    number = int(getattr(signal, name))
    handler = signal.getsignal(number)
    if handler is signal.SIG_IGN:
        return "the program ignores it"
    if handler is not signal.SIG_DFL or _caught(number):
        return "the program handles it"
    return ""


def _caught(number: int) -> bool:
    """Whether the kernel knows a handler of it: one in C, which Python does not know of."""
    try:
        with open("/proc/self/status", "rb") as file:
            for line in file:
                if line.startswith(b"SigCgt:"):
                    return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    except (OSError, ValueError, IndexError):
        pass
    return False


def _write(text: bytes) -> None:
    """Writes to the program's stderr, and gives up if nobody reads it."""
    try:
        handle = sys.__stderr__.fileno()  # type: ignore[union-attr]
        poll = select.poll()
        poll.register(handle, select.POLLOUT)
        end = monotonic() + PATIENCE
        while text and (left := end - monotonic()) > 0:
            if poll.poll(left * 1000):
                with suppress(BlockingIOError):
                    text = text[os.write(handle, text[:PIECE]) :]
    except Exception:
        return  # there is no stderr
