"""The server in the probe's thread: accepts viewers and serves each when it is due.

It answers while the program's loop is blocked. It runs a `poll` loop, not asyncio, so that the probe never watches
itself, and so that the selector needs no descriptor in the kernel.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import sys
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..base import protocol
from ..base.owned_fds import LostError, OwnFile, OwnSocket
from .connection import Proof, Viewer

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext

    from .host import Host
    from .tls import TlsSocket

MOST_VIEWERS = 32
"""Most viewers that are local or have proved that they know the token."""

MOST_STRANGERS = 8
"""Most TCP connections that have not proved the token yet; they do not count as viewers."""

_FULL = f"there are {MOST_VIEWERS} viewers already"


class Server:
    """Serves viewers until `stop` is called."""

    def __init__(self, probe: Host) -> None:
        self._probe = probe
        self._selector = selectors.PollSelector()
        ours, self._waker = socket.socketpair()
        self._wake = OwnSocket(ours)
        self._own_waker = OwnSocket(self._waker)
        self._listeners: list[OwnSocket] = []
        self._fd_listener: OwnSocket | None = None
        self._outside: OwnSocket | None = None
        self._kept: list[OwnFile] = []
        self._token = ""
        self._tls: SSLContext | None = None
        self.viewers: list[Viewer] = []
        self._strangers: list[Viewer] = []
        self._stopping = False
        self._accept_paused_until = 0.0  # no connection is accepted before, because descriptors ran out
        self._selector.register(ours, selectors.EVENT_READ, None)

    def listen_unix(self, path: str) -> None:
        """Serves on a Unix socket that only its owner may open. Raises OSError."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with suppress(FileNotFoundError):
                os.unlink(path)
            os.fchmod(sock.fileno(), 0o600)  # Linux makes the file with this mode
            sock.bind(path)
            if os.lstat(path).st_mode & 0o077:
                os.chmod(path, 0o600)
            sock.listen(16)
        except OSError:
            sock.close()
            raise
        self._add_listener(sock)

    def listen_tcp(self, host: str, port: int, token: str, tls: SSLContext | None = None) -> str:
        """Serves on TCP behind a token, with or without TLS; returns HOST:PORT. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
            sock.listen(16)
        except OSError:
            sock.close()
            raise
        self._token = token
        self._tls = tls
        self._add_listener(sock)
        shown = f"[{host}]" if ":" in host else host
        return f"{shown}:{sock.getsockname()[1]}"

    def open_fd_listener(self) -> int:
        """Serves viewers that may take descriptors of this process (pidfd_getfd(2)), as anybody who may trace it can.

        Needs no name and no file. Returns the descriptor to take; viewers send one end of a socket pair through it.
        Raises OSError.
        """
        inside, outside = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._fd_listener, self._outside = OwnSocket(inside), OwnSocket(outside)
        self._listeners.append(self._fd_listener)
        self._selector.register(inside, selectors.EVENT_READ, self._fd_listener)
        return outside.fileno()

    def keep(self, handle: int) -> None:
        """Keeps a descriptor open until the server closes."""
        self._kept.append(OwnFile(handle))

    def announce_staying(self) -> None:
        """Says so in the file by which viewers find this probe, if it was put in by pid."""
        for kept in self._kept:
            kept.replace(b'"stays": 0', b'"stays": 1')

    def listen_to(self, sock: socket.socket, call: Callable[[], None]) -> None:
        """Calls something in the server's thread whenever a socket is readable."""
        self._selector.register(sock, selectors.EVENT_READ, call)

    def _add_listener(self, sock: socket.socket) -> None:
        own = OwnSocket(sock)
        self._listeners.append(own)
        self._selector.register(sock, selectors.EVENT_READ, own)

    def wake(self) -> bool:
        """Wakes the server's thread, from any thread. False if that is impossible, since the program closed its
        sockets."""
        try:
            self._own_waker.check()
            self._waker.send(b"x")
        except BlockingIOError:
            return True
        except (OSError, LostError):
            return False
        return True

    def stop(self) -> bool:
        """Makes the server's thread end soon. False if it cannot be woken, since the program closed its sockets."""
        self._stopping = True
        return self.wake()

    def run(self) -> None:
        """The body of the thread. Returns after `stop`; raises LostError if the program closed its sockets."""
        while not self._stopping:
            self._turn(self._select())
        now = monotonic()
        if self.viewers:
            self._probe.sample_last(now)
        for viewer in list(self.viewers):
            viewer.send_last(now)

    def _turn(self, ready: list[Any]) -> None:
        """Handles events and due viewers. A method of its own, so that no reference to a viewer outlives it."""
        self._probe.woken()
        self._wake.check()
        self._probe.woken()
        for key, events in ready:
            if key.data is None:
                self._drain_wake()
            elif isinstance(key.data, OwnSocket):
                (self._let_in if key.data is self._fd_listener else self._accept)(key.data)
            elif isinstance(key.data, Viewer):
                key.data.serve(events)
            else:
                key.data()
        now = monotonic()
        if self._accept_paused_until and now >= self._accept_paused_until:
            self._resume_accepting()
        self._probe.sample_if_due(now)
        for viewer in [*self.viewers, *self._strangers]:
            viewer.feed(now)

    def _select(self) -> list[Any]:
        try:
            return self._selector.select(self._timeout())
        except InterruptedError:
            return []
        except OSError as error:
            raise LostError from error

    def _timeout(self) -> float | None:
        now = monotonic()
        times = [
            self._probe.next_look(),
            self._accept_paused_until or None,
            *(viewer.due() for viewer in (*self.viewers, *self._strangers)),
        ]
        known = [when for when in times if when is not None]
        return max(min(known) - now, 0.0) if known else None

    def _drain_wake(self) -> None:
        with suppress(BlockingIOError):
            self._wake.socket.recv(4096)

    def _accept(self, listener: OwnSocket) -> None:
        listener.check()
        try:
            sock, peer = listener.socket.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._pause_accepting()
            return
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._challenge(sock if self._tls is None else self._secured(sock, self._tls), peer[0])
        elif _peer_allowed(sock):
            self._greet(sock)
        else:
            self._refuse(sock, "this program belongs to another user")

    def _let_in(self, listener: OwnSocket) -> None:
        """Accepts a viewer that sent a socket through it. It may trace this process, so no check is needed."""
        listener.check()
        handles: list[int] = []
        try:
            _, rest, _, _ = listener.socket.recvmsg(64, socket.CMSG_SPACE(16), getattr(socket, "MSG_CMSG_CLOEXEC", 0))
            for _, kind, data in rest:
                if kind == socket.SCM_RIGHTS:
                    handles += [int.from_bytes(data[i : i + 4], sys.byteorder) for i in range(0, len(data) - 3, 4)]
            if len(handles) == 1:
                sock = socket.socket(fileno=handles[0])
                handles.clear()
                if (sock.family, sock.type) == (socket.AF_UNIX, socket.SOCK_STREAM):
                    self._greet(sock)
                else:
                    sock.close()
        except OSError:
            pass
        finally:
            for handle in handles:
                os.close(handle)

    def _greet(self, sock: socket.socket) -> None:
        if self._full():
            self._refuse(sock, _FULL)
            return
        viewer = Viewer(sock, self._probe, self._selector, self._drop)
        self.viewers.append(viewer)
        viewer.greet()

    @staticmethod
    def _secured(sock: socket.socket, tls: SSLContext) -> TlsSocket:
        from .tls import TlsSocket

        return TlsSocket(sock, tls)

    def _challenge(self, sock: socket.socket | TlsSocket, host: str) -> None:
        if len(self._strangers) >= MOST_STRANGERS:
            hosts = [stranger.host for stranger in self._strangers]
            # Drop the oldest of the host with the most connections, so that no host can keep others out.
            max(self._strangers, key=lambda stranger: hosts.count(stranger.host)).give_way()
        stranger = Viewer(sock, self._probe, self._selector, self._drop, Proof(self._token, self._know), host)
        self._strangers.append(stranger)
        stranger.greet()

    def _know(self, viewer: Viewer) -> str | None:
        """Admits a connection that has proved the token; returns the reason if it cannot be admitted."""
        if self._full():
            return _FULL
        self._strangers.remove(viewer)
        self.viewers.append(viewer)
        return None

    def _full(self) -> bool:
        return len(self.viewers) >= MOST_VIEWERS

    def _pause_accepting(self) -> None:
        """Stops accepting for a second: without free descriptors, poll would report the waiting connection
        endlessly."""
        if not self._accept_paused_until:
            self._probe.notice("a viewer could not be let in: the program has no file descriptors left")
            for own in self._listeners:
                self._selector.unregister(own.socket)
        self._accept_paused_until = monotonic() + 1.0

    def _resume_accepting(self) -> None:
        self._accept_paused_until = 0.0
        for own in self._listeners:
            own.check()
            self._selector.register(own.socket, selectors.EVENT_READ, own)

    def _refuse(self, sock: socket.socket, why: str) -> None:
        try:
            sock.setblocking(False)
            sock.send(protocol.encode({"type": "error", "message": why}))
        except OSError:
            pass
        sock.close()

    def _drop(self, viewer: Viewer) -> None:
        if viewer in self._strangers:
            self._strangers.remove(viewer)
            return
        self.viewers.remove(viewer)
        self._probe.viewers_changed()

    def close(self) -> None:
        """Closes every socket that the program has not closed."""
        for viewer in (*self.viewers, *self._strangers):
            viewer.close()
        self.viewers.clear()
        self._strangers.clear()
        for own in (*self._listeners, self._wake, self._own_waker):
            own.close()
        if self._outside is not None:
            self._outside.close()
        while self._kept:
            self._kept.pop().close()
        self._listeners.clear()
        self._selector.close()


def _peer_allowed(sock: socket.socket) -> bool:
    """Whether the other end belongs to this user or root (SO_PEERCRED, unix(7))."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True  # the directory has mode 0700 anyway
    credentials = sock.getsockopt(socket.SOL_SOCKET, option, 12)  # pid, uid, gid
    uid = int.from_bytes(credentials[4:8], sys.byteorder)
    return uid in (os.getuid(), 0)
