"""The probe's file descriptors, checked before each use.

A program may close descriptors that it did not open (`os.closerange`) and get their numbers again for its own files. So
the inode of a descriptor is compared before it is used; if it differs, the descriptor is left alone.
"""

from __future__ import annotations

import os
from typing import Any


class LostError(Exception):
    """The program closed a descriptor of the probe, whose number may now belong to another file."""


class OwnSocket:
    """A socket with the inode that identifies it."""

    __slots__ = ("_inode", "socket")

    def __init__(self, sock: Any) -> None:
        """`sock`: a socket, or what behaves like one (TLS)."""
        self.socket = sock
        sock.setblocking(False)
        self._inode = _inode(sock.fileno())

    def check(self) -> None:
        """Raises LostError if the descriptor is not this socket any more."""
        try:
            if _inode(self.socket.fileno()) == self._inode:
                return
        except OSError:
            pass
        raise LostError

    def close(self) -> None:
        """Closes the socket, unless its number belongs to another file by now."""
        try:
            self.check()
        except LostError:
            self.socket.detach()
        else:
            self.socket.close()


class OwnFile:
    """A descriptor of a file, with the inode that identifies it."""

    __slots__ = ("_handle", "_inode")

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._inode = _inode(handle)

    def replace(self, old: bytes, new: bytes) -> None:
        """Writes other bytes of the same length over those, unless its number belongs to another file by now."""
        try:
            if _inode(self._handle) == self._inode:
                place = os.pread(self._handle, 1 << 16, 0).find(old)
                if place >= 0:
                    os.pwrite(self._handle, new, place)
        except OSError:
            return

    def check(self) -> None:
        """Raises LostError if the descriptor is not this file any more."""
        try:
            if _inode(self._handle) == self._inode:
                return
        except OSError:
            pass
        raise LostError

    def close(self) -> None:
        """Closes the descriptor, unless its number belongs to another file by now."""
        try:
            if _inode(self._handle) == self._inode:
                os.close(self._handle)
        except OSError:
            return


def _inode(handle: int) -> tuple[int, int]:
    found = os.fstat(handle)
    return found.st_dev, found.st_ino
