"""One connection to a probe: connect, authenticate, check the hello, exchange lines. Calls block, with timeouts."""

from __future__ import annotations

import os
import socket
import stat
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from monitor.errors import Closed, ConnectError, LooptopError, Unreachable, WayLost
from monitor.protocol import frames
from monitor.transport import silence
from monitor.transport.address import Address
from monitor.transport.dial import ENDED, dial
from probes.base import protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from monitor.transport.tls import TlsSocket

GREETING = 10.0
"""Seconds to wait for the hello: one C call of the program may hold up the probe's thread for that long."""

PATIENCE = 1.0
"""Seconds without an answer after which to check whether the process is stopped."""

PIECE = 256 << 10
LONGEST_TOKEN = 4096


class Lines:
    """Splits a stream of bytes into lines, none longer than a frame may be."""

    def __init__(self, limit: int = protocol.MAX_FRAME) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Add bytes and return the lines that are now complete. Raises ConnectError for a line that is too long."""
        self._rest += data
        end = self._rest.rfind(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._rest)
            self._check(self._searched)
            return []
        lines = bytes(self._rest[:end]).split(b"\n")
        del self._rest[: end + 1]
        self._searched = len(self._rest)
        for line in lines:
            self._check(len(line) + 1)
        self._check(self._searched)
        return [line for line in lines if line]

    def _check(self, length: int) -> None:
        if length > self._limit:
            raise ConnectError(f"a line of more than {self._limit} bytes came", "is it a probe that listens there?")

    @property
    def half(self) -> bool:
        """Whether an incomplete line is buffered."""
        return bool(self._rest)


class Connection:
    """An open connection to a probe that sent a hello in a supported protocol version."""

    def __init__(self, sock: socket.socket | TlsSocket, where: str, why: Callable[[], str] | None = None) -> None:
        """`why`: for a connection through another one, why that has ended; empty if it has not."""
        self.where = where
        self._why = why
        self.received = 0  # bytes so far
        self.hello: frames.Hello
        self._socket = sock
        self._lines = Lines()
        self._problem: ConnectError | None = None
        self._early: list[frames.Frame] = []

    def fileno(self) -> int:
        """The socket's descriptor, for polling."""
        return self._socket.fileno()

    @property
    def by_network(self) -> bool:
        """Whether the connection crosses a network, where a cable or a tunnel may break."""
        return self._why is not None or self._socket.family != socket.AF_UNIX

    @property
    def relayed(self) -> bool:
        """Whether the program is on the other side of another connection, so that its pid means nothing here."""
        return self._why is not None

    @property
    def owner(self) -> int | None:
        """The user id of the program, from the kernel; None over a network or if the kernel does not expose it."""
        if self.by_network or not hasattr(socket, "SO_PEERCRED"):
            return None
        assert isinstance(self._socket, socket.socket)
        _, user, _ = struct.unpack("iII", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(user)

    @property
    def pending(self) -> bool:
        """Whether `receive` has buffered frames or an error to deliver that polling the socket does not show."""
        buffered = 0 if isinstance(self._socket, socket.socket) else self._socket.pending()
        return bool(self._early or buffered) or self._problem is not None

    def send(self, frame: dict[str, object], timeout: float = GREETING) -> None:
        """Send one frame. Raises Closed."""
        line = protocol.encode(frame)
        if len(line) > protocol.MAX_REQUEST:
            raise ConnectError(f"a request of {len(line)} bytes", f"at most {protocol.MAX_REQUEST} are taken")
        try:
            self._socket.settimeout(timeout)
            self._socket.sendall(line)
        except TimeoutError:
            raise ConnectError(f"{self.where} takes nothing", f"the probe has not read for {timeout:g} s") from None
        except (BrokenPipeError, ConnectionResetError):
            raise Closed(f"{self.where} closed the connection", ENDED) from None
        except OSError as error:
            raise Closed(f"the connection to {self.where} broke", error.strerror or str(error)) from None

    def receive(self, timeout: float) -> list[frames.Frame]:
        """Wait for frames and return them; empty on timeout.

        Raises Closed at the end, and ConnectError for an invalid frame, after the frames before it were delivered.
        """
        if self._early:
            early, self._early = self._early, []
            return early
        deadline = time.monotonic() + timeout
        while self._problem is None:
            try:
                self._socket.settimeout(max(deadline - time.monotonic(), 0.0))
                data = self._socket.recv(PIECE)
            except (TimeoutError, BlockingIOError):
                return []
            except ConnectionResetError:  # the peer closed without reading all that we sent
                self._problem = Closed(f"{self.where} closed the connection", ENDED)
                break
            except OSError as error:
                self._problem = Closed(f"the connection to {self.where} broke", error.strerror or str(error))
                break
            came = self._take(data)
            if came:
                return came
        raise self._problem

    def _take(self, data: bytes) -> list[frames.Frame]:
        if not data:
            text = "in the middle of a line" if self._lines.half else ENDED
            self._problem = Closed(f"{self.where} closed the connection", text)
            way = "" if self._why is None else self._why()
            if way:
                self._problem = WayLost(f"{self.where} is out of reach", way)
            return []
        self.received += len(data)
        came: list[frames.Frame] = []
        try:
            for line in self._lines.feed(data):
                frame = frames.decode(line)
                if isinstance(frame, frames.Error):
                    raise ConnectError(*_refusal(self.where, frame.message))
                if frame is not None:
                    came.append(frame)
        except ConnectError as error:
            self._problem = error
        except LooptopError as error:
            self._problem = ConnectError(f"{self.where}: {error.message}", error.hint)
        return came

    def push_back(self, came: list[frames.Frame]) -> None:
        """Put frames back that were received too early; `receive` returns them first."""
        self._early = came + self._early

    def close(self) -> None:
        """Close the socket. Subclasses also end what made the connection."""
        self._socket.close()


def connect(
    address: Address,
    token_file: str | None = None,
    environ: Mapping[str, str] | None = None,
    timeout: float = GREETING,
) -> Connection:
    """Connect and wait for the probe's hello. Raises ConnectError with a hint."""
    deadline = time.monotonic() + timeout
    sock: socket.socket | TlsSocket = dial(address, timeout)
    if address.cafile is not None:
        from monitor.transport.tls import secured

        assert isinstance(sock, socket.socket)
        sock = secured(sock, address.host, str(address), address.cafile, max(deadline - time.monotonic(), 0.1))
    connection = Connection(sock, str(address))
    environ = os.environ if environ is None else environ

    def token() -> str:
        return find_token(connection.where, address.token_file, token_file, environ)

    return greeted(connection, deadline, token, address.pid, address.pid)


def greeted(
    connection: Connection, deadline: float, token: Callable[[], str], pid: int | None, here: int | None = None
) -> Connection:
    """Wait for the hello on an open connection, and prove the token if asked. Raises ConnectError.

    `pid` is that of the program where it was asked for; `here`, if that is this machine.
    """
    try:
        first = first_frame(connection, deadline, here)
        if isinstance(first, frames.Challenge):
            _check(first, connection.where)
            connection.send({"type": "auth", "answer": protocol.answer(token(), first.nonce)})
            first = first_frame(connection, deadline)
        if not isinstance(first, frames.Hello):
            raise ConnectError(f"{connection.where} does not say hello", "is it a probe that listens there?")
        _check(first, connection.where)
        # In a container the pid differs: keep the requested one, which the user knows and /proc has.
        connection.hello = first if pid is None else msgspec.structs.replace(first, pid=pid)
    except BaseException:
        connection.close()
        raise
    return connection


def find_token(where: str, announced: str | None, token_file: str | None, environ: Mapping[str, str]) -> str:
    """The token: from the given file, from LOOPTOP_TOKEN, or from the file that the local probe announces."""
    named = token_file or environ.get("LOOPTOP_TOKEN_FILE")
    if not named and environ.get("LOOPTOP_TOKEN"):
        return environ["LOOPTOP_TOKEN"].strip()
    path = named or announced
    if not path:
        raise ConnectError(
            f"{where} asks for a token",
            "give --token-file FILE or LOOPTOP_TOKEN; the program printed the path of its token file",
        )
    try:
        with Path(path).expanduser().open(encoding="utf-8") as file:
            facts = os.fstat(file.fileno())
            open_to_others = stat.S_ISREG(facts.st_mode) and bool(facts.st_mode & 0o077)
            token = file.read(LONGEST_TOKEN).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConnectError(f"the token file {path} cannot be read", reason or str(error)) from None
    if open_to_others:
        raise ConnectError(f"others may read the token file {path}", f"chmod 600 {path}")
    if not token:
        raise ConnectError(f"the token file {path} is empty", "it should contain one line, the token")
    return token


def first_frame(connection: Connection, deadline: float, pid: int | None = None) -> frames.Frame:
    """The next frame; frames received with it are kept for `receive`. `pid` is checked for being stopped."""
    while True:
        left = deadline - time.monotonic()
        came = connection.receive(min(left, PATIENCE)) if left > 0 else []
        if came:
            connection.push_back(came[1:])
            return came[0]
        reason = silence.halted(pid)
        if reason is not None:
            raise Unreachable(f"{connection.where} does not answer", reason)
        if left <= 0:
            raise Unreachable(
                f"{connection.where} does not answer",
                "it is not a probe, or one call of the program holds it up: try again",
            )


def _check(frame: frames.Hello | frames.Challenge, where: str) -> None:
    try:
        frames.check_protocol(frame)
    except LooptopError as error:
        raise ConnectError(f"{where}: {error.message}", error.hint) from None


def _refusal(where: str, message: str) -> tuple[str, str]:
    if "token" in message:
        return f"{where}: {message}", "the token is in the file that the program names where it starts"
    return f"the probe at {where} says", message
