"""Finds threads that wait in a system call in which they can be stopped without the program noticing."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.attach.inject.ptrace import threads_of

if TYPE_CHECKING:
    from collections.abc import Sequence

WAITING = {232: "epoll_wait", 281: "epoll_pwait", 441: "epoll_pwait2", 7: "poll", 271: "ppoll", 23: "select"}
WAITING.update({270: "pselect6"})
SAFE = {**WAITING, 35: "nanosleep", 230: "clock_nanosleep", 202: "futex", 61: "wait4", 247: "waitid", 34: "pause"}
SAFE.update({43: "accept", 288: "accept4", 42: "connect", 73: "flock", 72: "fcntl", 45: "recvfrom", 47: "recvmsg"})
SAFE.update({0: "read"})
"""Blocking system calls in which a thread holds no lock of the C library (x86-64 numbers), best first. The last ones
are where a program hangs that blocks its loop: a child process, a file lock, a socket, a pipe."""

PARTIAL = {1: "write", 20: "writev", 18: "pwrite64", 44: "sendto", 46: "sendmsg", 307: "sendmmsg", 40: "sendfile"}
PARTIAL.update({296: "pwritev", 328: "pwritev2", 275: "splice", 326: "copy_file_range"})
"""Calls that return early with partial results when interrupted."""

FUTEX_WAIT_BITSET = 9
"""Used by semaphores and conditions; malloc's locks use the plain FUTEX_WAIT, which is never safe."""

RESTARTABLE = (42, 43, 45, 47, 288)
"""Calls that, on a socket with a timeout (SO_RCVTIMEO), fail with EINTR when a tracer stops them. They can be
restarted instead, as the kernel itself does without a timeout."""

_READ, _FUTEX, _RECVFROM, _RECVMSG = 0, 202, 45, 47
_MSG_WAITALL = 0x100


def threads(pid: int) -> list[tuple[int, str]]:
    """Threads in a safe system call, best first, found without stopping anything."""
    found = []
    order = list(SAFE)
    for tid in threads_of(pid):
        call = _call(pid, tid)
        if call is not None and is_safe(tid, *call):
            found.append((order.index(call[0]), tid))
    return [(tid, SAFE[order[rank]]) for rank, tid in sorted(found, key=lambda entry: entry[0])]


def _call(pid: int, tid: int) -> tuple[int, list[int]] | None:
    """The system call a thread waits in, and its first four arguments; None while it runs."""
    try:
        words = Path(f"/proc/{pid}/task/{tid}/syscall").read_text().split()
    except OSError:
        return None
    if len(words) < 5 or not words[0].isdigit():
        return None
    return int(words[0]), [int(word, 16) for word in words[1:5]]


def is_safe(tid: int, number: int, arguments: Sequence[int]) -> bool:
    """Whether a thread may be borrowed in this call."""
    if number == _FUTEX:
        return arguments[1] & 0x7F == FUTEX_WAIT_BITSET
    if number == _READ:  # not of a file: the dynamic loader reads files under its lock
        return _is_pipe(tid, arguments[0])
    return number in SAFE and not _is_partial(number, arguments)


def _is_pipe(tid: int, handle: int) -> bool:
    """Whether a descriptor is a pipe, a socket or a terminal."""
    try:
        mode = os.stat(f"/proc/{tid}/fd/{handle & 0xFFFFFFFF}").st_mode  # noqa: PTH116 - the link's target
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)


def _is_partial(number: int, arguments: Sequence[int]) -> bool:
    if number == _RECVFROM:
        return bool(arguments[3] & _MSG_WAITALL)
    if number == _RECVMSG:
        return bool(arguments[2] & _MSG_WAITALL)
    return number in PARTIAL


def would_interrupt_syscall(pid: int, tid: int) -> str:
    """The name of a thread's system call, if stopping the thread would end it with partial results."""
    call = _call(pid, tid)
    if call is None or not _is_partial(*call):
        return ""
    return PARTIAL.get(call[0], "recv")
