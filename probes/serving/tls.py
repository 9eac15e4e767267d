"""TLS on the probe's TCP port. Loads `ssl` only where a certificate is given."""

from __future__ import annotations

import os
import socket
import ssl


def context(cert: str, key: str) -> ssl.SSLContext:
    """What a server with this certificate needs. Raises ValueError and OSError with the reason."""
    if not cert or not key:
        raise ValueError("cert and key go together")
    if os.stat(key).st_mode & 0o007:
        raise ValueError(f"others may read {key}: chmod 600 {key}")
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(cert, key, password=_no_password)
    return made


def _no_password() -> str:
    """Without it OpenSSL would ask on the program's terminal."""
    raise ValueError("the key is encrypted")


class TlsSocket:
    """A socket with TLS that behaves like one without: what has to wait raises BlockingIOError.

    The handshake is made by whatever is called first.
    """

    __slots__ = ("_sock", "waits_to_read")

    def __init__(self, sock: socket.socket, made: ssl.SSLContext) -> None:
        sock.setblocking(False)
        self._sock = made.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self.waits_to_read = False  # what is sent has to wait for something that comes

    def send(self, data: bytes | memoryview) -> int:
        """Like `socket.send`; raises BlockingIOError if it has to wait, for input if `waits_to_read`."""
        self.waits_to_read = False
        try:
            return self._sock.send(data)
        except ssl.SSLWantReadError:
            self.waits_to_read = True
            raise BlockingIOError from None
        except ssl.SSLWantWriteError:
            raise BlockingIOError from None

    sendall = send

    def recv(self, size: int) -> bytes:
        """Like `socket.recv`; raises BlockingIOError if it has to wait."""
        try:
            return self._sock.recv(size)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def pending(self) -> int:
        """Bytes that can be received although nothing more comes."""
        return self._sock.pending()

    def send_plainly(self, line: bytes) -> None:
        """Sends a line without TLS to somebody who has not begun it."""
        if self._sock.version() is None:
            try:
                socket.socket.send(self._sock, line)
            except OSError:
                return

    def setblocking(self, blocking: bool) -> None:
        """Like `socket.setblocking`, also for the handshake."""
        self._sock.setblocking(blocking)

    def settimeout(self, seconds: float) -> None:
        """Like `socket.settimeout`, also for the handshake."""
        self._sock.settimeout(seconds)

    def fileno(self) -> int:
        """The descriptor of the socket, for polling; see `pending`."""
        return self._sock.fileno()

    def close(self) -> None:
        """Closes the socket without the closing handshake of TLS, which could have to wait."""
        self._sock.close()

    def detach(self) -> int:
        """Like `socket.detach`: returns the descriptor and leaves it open."""
        return self._sock.detach()
