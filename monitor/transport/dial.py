"""Opens sockets to probes. Standard library only: it also runs on the other side of `--via`."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.errors import Closed, ConnectError, Unreachable

if TYPE_CHECKING:
    from monitor.transport.address import Address

ENDED = "the program has ended, or let go of it"


def dial(address: Address, timeout: float) -> socket.socket:
    """Open a socket to a probe. Raises ConnectError with a hint."""
    if address.listen_fd is not None and address.pid is not None:
        from monitor.transport import fd_passing

        return fd_passing.enter(address.pid, address.listen_fd, timeout)
    if address.path:
        return _open_path(address.path, timeout)
    try:
        sock = socket.create_connection((address.host, address.port), timeout)
    except socket.gaierror as error:
        raise Unreachable(f"no host is called {address.host}", error.strerror or str(error)) from None
    except ConnectionRefusedError:
        raise ConnectError(f"nothing listens on {address}", "was the program started with --listen there?") from None
    except ConnectionResetError:  # closed before we noticed that it was open
        raise Closed(f"{address} closed the connection", ENDED) from None
    except socket.timeout:  # noqa: UP041 - one class from 3.10 on
        raise Unreachable(f"{address} does not answer", "is the host right, and no firewall between?") from None
    except OSError as error:
        raise Unreachable(f"{address} cannot be reached", error.strerror or str(error)) from None
    except (OverflowError, UnicodeError) as error:
        raise Unreachable(f"{address} cannot be reached", str(error)) from None
    _notice_silence(sock)
    return sock


def _notice_silence(sock: socket.socket) -> None:
    """Enable TCP keepalive, because a pulled cable reports nothing."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):  # seconds, seconds, probes
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _open_path(path: str, timeout: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(path)
    except OSError as error:
        sock.close()
        raise ConnectError(*_why_not(path, error)) from None
    return sock


def _why_not(path: str, error: OSError) -> tuple[str, str]:
    if isinstance(error, FileNotFoundError):
        return f"no such socket: {path}", "looptop ps lists what can be watched"
    if isinstance(error, ConnectionRefusedError):
        if Path(path).is_socket():
            return f"nothing listens on {path}", "the program has ended or executed another; looptop ps lists what runs"
        return f"{path} is not a socket", "looptop ps lists what can be watched"
    if isinstance(error, PermissionError):
        return f"no permission for {path}", "run looptop as the user that the program belongs to"
    if isinstance(error, (TimeoutError, BlockingIOError, socket.timeout)):
        return f"{path} does not answer", "its queue is full, or one call of the program holds it up: try again"
    return f"{path} cannot be reached", error.strerror or str(error)
