"""Adds what the sent modules need of newer Pythons to those from 3.8 on."""

# mypy: ignore-errors

import array
import ctypes
import dataclasses
import functools
import os
import pathlib
import socket
import sys

_PIDFD_OPEN = 434  # pidfd_open(2), the same on all architectures


def _dataclass(cls=None, *, slots=False, **options):  # noqa: ARG001 - slots from 3.10 on
    return _original(cls, **options)


def _pidfd_open(pid, flags=0):
    handle = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_OPEN, pid, flags)
    if handle < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    os.set_inheritable(handle, False)
    return handle


def _send_fds(sock, buffers, fds):
    return sock.sendmsg(buffers, [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])


_original = dataclasses.dataclass
if sys.version_info < (3, 10):
    dataclasses.dataclass = _dataclass
if sys.version_info < (3, 9):
    pathlib.Path.readlink = lambda path: pathlib.Path(os.readlink(path))
    functools.cache = functools.lru_cache(maxsize=None)
    if sys.platform == "linux":
        os.pidfd_open = _pidfd_open
    socket.send_fds = _send_fds
    os.waitstatus_to_exitcode = lambda status: (
        -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    )
