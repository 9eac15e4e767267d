"""TLS to a probe on TCP: verifies its certificate, then behaves like a socket without."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from monitor.errors import ConnectError, Unreachable, UsageError

if TYPE_CHECKING:
    import socket

SYSTEM = "system"
"""Instead of a file: the certificates that this machine trusts."""


def secured(sock: socket.socket, host: str, where: str, cafile: str, timeout: float) -> TlsSocket:
    """Begin TLS on an open socket and verify that it leads to `host`. Raises ConnectError, UsageError for the file."""
    try:
        context = ssl.create_default_context(cafile=None if cafile == SYSTEM else cafile)
    except (OSError, ValueError) as error:
        reason: object = "it contains no certificate" if isinstance(error, ssl.SSLError) else error
        raise UsageError(
            f"--cafile {cafile} cannot be read", getattr(reason, "strerror", None) or str(reason)
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        sock.settimeout(timeout)
        return TlsSocket(context.wrap_socket(sock, server_hostname=host))
    except ssl.SSLCertVerificationError as error:
        sock.close()
        raise ConnectError(f"the certificate of {where} is not accepted", _reason(error)) from None
    except ssl.SSLError as error:
        sock.close()
        if error.reason in ("WRONG_VERSION_NUMBER", "UNEXPECTED_MESSAGE"):
            raise ConnectError(f"{where} serves no TLS", "leave --cafile out") from None
        raise ConnectError(f"TLS with {where} failed", error.reason or str(error)) from None
    except TimeoutError:
        sock.close()
        raise Unreachable(
            f"{where} does not answer", "it serves no TLS, or one call of the program holds it up"
        ) from None
    except OSError as error:
        sock.close()
        raise ConnectError(f"{where} closed the connection", error.strerror or "while TLS began") from None


def _reason(error: ssl.SSLCertVerificationError) -> str:
    return (error.verify_message or str(error)).rstrip(".")


class TlsSocket:
    """A socket with TLS. What has to wait raises BlockingIOError or TimeoutError, as on a plain one."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock = sock
        self.family = sock.family

    def recv(self, size: int) -> bytes:
        """Like `socket.recv`; raises BlockingIOError if TLS must read or write something first."""
        try:
            return self._sock.recv(size)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def sendall(self, data: bytes) -> None:
        """Send all of `data`, encrypted. Raises OSError, and TimeoutError after what `settimeout` says."""
        self._sock.sendall(data)

    def settimeout(self, seconds: float) -> None:
        """Like `socket.settimeout`, of the encrypted stream."""
        self._sock.settimeout(seconds)

    def pending(self) -> int:
        """Bytes that can be received although polling does not show them."""
        return self._sock.pending()

    def fileno(self) -> int:
        """The descriptor of the socket, for polling; see `pending`."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close the socket, without the closing handshake of TLS."""
        self._sock.close()
