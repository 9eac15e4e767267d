"""Whether a subprocess, with those below it, does anything, and what nobody has read of it. Without touching it."""

from __future__ import annotations

import os
from array import array
from typing import Any

try:
    import fcntl
    import termios
except ImportError:  # not on this system
    HAS_IOCTL = False
else:
    HAS_IOCTL = True

MOST_PROCESSES = 50
MOST_DESCRIPTORS = 200
_AT_REST = {"S": "sleeping", "D": "sleeping", "T": "stopped", "t": "stopped"}


class Child:
    """A subprocess that a task waits for, and since when it has done nothing."""

    __slots__ = ("_before", "_since")

    def __init__(self) -> None:
        self._before: tuple[str, int, int, int] | None = None
        self._since = 0.0

    def look(self, pid: int, unread: int, now: float) -> tuple[str, float]:
        """`sleeping` or `stopped`, and for how long without CPU time and output; empty if it does something.

        A process with a socket may wait for others, as servers do, and is taken to do something, unless it is stopped.
        """
        found = _tree(pid) if pid > 0 else None
        if found is None:
            self._before = None
            return "", 0.0
        state, cpu, processes = found
        seen = state, cpu, processes, unread
        if seen != self._before:
            self._before, self._since = seen, now
        return state, now - self._since


def unread(protocol: Any) -> int:
    """The bytes that a subprocess has written and nobody reads; 0 also where that is not known (uvloop)."""
    found = 0  # the wait does not end before the pipes are read, even if the process has ended
    for reader in (getattr(protocol, "stdout", None), getattr(protocol, "stderr", None)):
        if reader is not None and reader._paused and reader._waiter is None:
            found += len(reader._buffer) + _in_pipe(reader._transport)
    return found


def _in_pipe(transport: Any) -> int:
    """The bytes in the pipe that a transport reads."""
    fd = getattr(transport, "_fileno", None)
    if not HAS_IOCTL or type(fd) is not int or fd < 0:
        return 0
    number = array("i", [0])
    try:
        fcntl.ioctl(fd, termios.FIONREAD, number, True)
    except OSError:
        return 0
    return number[0]


def _tree(pid: int) -> tuple[str, int, int] | None:
    """State, CPU time in ticks and number of a process and its descendants; None if one of them is not at rest."""
    pending, cpu, count, first = [pid], 0, 0, ""
    while pending:
        one = pending.pop()
        words = _read(f"/proc/{one}/stat").rpartition(")")[2].split()
        if len(words) < 13:
            if one == pid:
                return None
            continue
        state = _AT_REST.get(words[0], "")
        count += 1
        if not state or count > MOST_PROCESSES or (state == "sleeping" and _has_socket(one)):
            return None
        first = first or state
        cpu += int(words[11]) + int(words[12])
        pending += [int(word) for word in _read(f"/proc/{one}/task/{one}/children").split()]
    return first, cpu, count


def _has_socket(pid: int) -> bool:
    """True also if that cannot be read."""
    try:
        names = os.listdir(f"/proc/{pid}/fd")
        return len(names) > MOST_DESCRIPTORS or any(
            os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:") for name in names
        )
    except OSError:
        return True


def _read(path: str) -> str:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(file, 4000).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(file)
