"""Descriptors of ours, whose numbers may mean something else by now.

A program may close descriptors that are not its own (`os.closerange`) and be given their numbers again. So before a
socket is used its inode is compared; if it is not ours any more, it is left alone.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket


class LostError(Exception):
    """A descriptor was closed behind our back: everything is left as it is."""


class OwnSocket:
    """A socket, and what tells that its number still means it."""

    __slots__ = ("_inode", "socket")

    def __init__(self, sock: socket.socket) -> None:
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
        """Closes the socket, unless the number belongs to somebody else by now."""
        try:
            self.check()
        except LostError:
            self.socket.detach()
        else:
            self.socket.close()


class OwnFile:
    """A descriptor that is only held, for others to find, and what tells that its number still means it."""

    __slots__ = ("_handle", "_inode")

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._inode = _inode(handle)

    def close(self) -> None:
        """Closes it, unless the number belongs to somebody else by now."""
        try:
            if _inode(self._handle) == self._inode:
                os.close(self._handle)
        except OSError:
            return


def _inode(handle: int) -> tuple[int, int]:
    found = os.fstat(handle)
    return found.st_dev, found.st_ino
