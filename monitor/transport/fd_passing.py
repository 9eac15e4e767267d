"""Connects to an injected probe through a descriptor of its process, taken by a user who may trace it.

Nothing has a name in a file system or a network namespace. The probe holds a memory file whose name gives the number
of a descriptor (visible in `/proc/PID/fd`); through it a viewer sends one end of a socket pair. Needs Linux 5.6.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass

from monitor.errors import ConnectError, ProbeGone
from monitor.transport import memory_file
from monitor.transport.mailbox import LONGEST, read

_PIDFD_GETFD = 438  # pidfd_getfd(2), the same on all architectures


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The descriptor of a process through which its probe accepts viewers."""

    pid: int
    number: int  # of the descriptor
    session: str
    name: str
    program: str
    python: str
    stays: bool = False  # also with nobody connected


def possible() -> bool:
    """Whether this kernel lets us take descriptors at all, tried on our own process."""
    try:
        own = os.pidfd_open(os.getpid())
    except (AttributeError, OSError):
        return False
    try:
        os.close(_take(own, own))
    except OSError:
        return False
    finally:
        os.close(own)
    return True


def find(pid: int) -> Endpoint | None:
    """The endpoint of the probe in a process, or None if there is none or it may not be inspected."""
    try:
        numbers = memory_file.numbers(pid)
    except OSError:
        return None
    for number in numbers:
        if memory_file.named(pid, number):
            with suppress(OSError):
                found = _read(pid, number)
                if found is not None:
                    return found
    return None


def everywhere() -> list[Endpoint]:
    """Endpoints in all processes that we may inspect."""
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208 - only names are needed
    return [found for pid in pids if (found := find(pid)) is not None]


def _read(pid: int, number: str) -> Endpoint | None:
    """Read an endpoint from its memory file. Raises OSError if it is not a probe's file."""
    with memory_file.MemoryFile(pid, number) as file:
        result = read(file.read(LONGEST))
    if result.how != "started" or result.listen_fd is None:
        return None
    return Endpoint(pid, result.listen_fd, result.session, result.name, result.program, result.python, result.stays)


def enter(pid: int, number: int, timeout: float) -> socket.socket:
    """Open a connection through the descriptor. Raises ConnectError."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        raise ConnectError(f"process {pid} has ended", "looptop ps lists what runs here") from None
    except OSError as error:
        raise ConnectError(f"process {pid} cannot be reached", error.strerror or str(error)) from None
    try:
        listener = socket.socket(fileno=_take(process, number))
    except OSError as error:
        if error.errno in (errno.EBADF, errno.ENOTSOCK):
            raise ProbeGone.of(pid) from None
        text = f"the probe of process {pid} cannot be reached"
        raise ConnectError(
            text, f"{error.strerror or error}: run looptop as the user who injected it, or root"
        ) from None
    finally:
        os.close(process)
    with listener:
        return _send(listener, pid, timeout)


def _send(listener: socket.socket, pid: int, timeout: float) -> socket.socket:
    if not _is_of(listener, pid):
        raise ProbeGone.of(pid)
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            listener.settimeout(timeout)
            socket.send_fds(listener, [b"."], [theirs.fileno()])
    except ConnectionError:
        ours.close()
        raise ProbeGone.of(pid) from None
    except OSError as error:
        ours.close()
        raise ConnectError(f"the probe of process {pid} accepts no viewers", error.strerror or str(error)) from None
    return ours


def _is_of(listener: socket.socket, pid: int) -> bool:
    """Whether a socket is one of a pair that the process made. Messages carry our credentials, so they must not reach
    another service, such as one of root's to which the process has connected the socket.
    """
    if (listener.family, listener.type) != (socket.AF_UNIX, socket.SOCK_DGRAM):
        return False
    try:
        named = listener.getpeername() or listener.getsockname()
        maker, _, _ = struct.unpack(
            "3i", listener.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        )
    except OSError:  # it points nowhere
        return False
    return not named and maker == pid


def _take(process: int, number: int) -> int:
    """Duplicate a descriptor of another process with pidfd_getfd(2). Raises OSError."""
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    handle = int(syscall(ctypes.c_long(_PIDFD_GETFD), ctypes.c_long(process), ctypes.c_long(number), ctypes.c_long(0)))
    if handle < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return handle
