"""One connection: what a viewer says is read and taken, what it is told is sent as fast as it reads."""

from __future__ import annotations

import os
import selectors
from time import monotonic
from typing import TYPE_CHECKING

from . import hello, wire
from .descriptors import LostError, OwnSocket
from .fields import BadRequestError
from .session import Session

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from .probe import Probe

MOST_UNREAD = 256 << 10
"""Bytes that are handed to a viewer's socket at most before it has read them; see docs/protocol.md, Bounds."""
PIECE = 4096
"""Bytes that are read at once: what a viewer says is short, and Python takes room for all of a piece beforehand."""
MOST_TEXT = 200
STALLED = 60.0
UNKNOWN_PEER = 10.0


class Viewer:
    """A viewer from its first frame until it has left, or was dropped."""

    def __init__(
        self,
        sock: socket.socket,
        probe: Probe,
        selector: selectors.BaseSelector,
        token: str | None,
        on_left: Callable[[Viewer], None],
    ) -> None:
        """`token`: what it must prove to know before it is listened to; None: nothing."""
        self.session = Session(probe)
        self._probe = probe
        self._own = OwnSocket(sock)
        self._selector = selector
        self._token = token or ""
        self._nonce = None if token is None else os.urandom(16).hex()  # not None until the token was proven
        self._on_left = on_left
        self._unread = bytearray()
        self._unsent = memoryview(b"")
        self._since = monotonic()  # of the last progress
        self._closing = False
        self._left = False

    def greet(self) -> None:
        """Tells it who is here, or asks for the proof."""
        self._selector.register(self._own.socket, selectors.EVENT_READ, self)
        if self._nonce is not None:
            self._send(wire.encode({"type": "challenge", "protocol": wire.PROTOCOL, "nonce": self._nonce}))
        else:
            self._send(wire.encode(hello.of(self._probe)))

    def due(self) -> float | None:
        """When `feed` wants to be called; None: no need."""
        if self._unsent:
            return self._since + STALLED
        if self.session.wants_output():
            return 0.0
        if self.session.watching:
            return self.session.due
        return None if self._nonce is None else self._since + UNKNOWN_PEER

    def feed(self, now: float) -> None:
        """Sends what is due; drops who takes nothing, or does not prove that it knows the token."""
        if self._unsent:
            if now - self._since > STALLED:
                self._drop()
            return
        if self._nonce is not None:
            if now - self._since > UNKNOWN_PEER:
                self._drop()
            return
        try:
            output = self.session.next_output(now)
        except Exception as error:
            self._fail(error)
            return
        if output:
            self._own.check()
            self._probe.woken()
            self._send(output)

    def serve(self, events: int) -> None:
        """Sends and reads what its socket is ready for."""
        if self._left:
            return
        self._own.check()
        try:
            if events & selectors.EVENT_WRITE and self._unsent:
                self._send(b"")
            if events & selectors.EVENT_READ:
                self._read()
        except OSError:
            self._drop()

    def tell_last(self, now: float) -> None:
        """What it has not got yet, and then what has happened since its last tick: why a program ended is in there.

        Tried once, for a moment, when the probe ends.
        """
        self._flush_last()
        if self.session.watching and not (self._unsent or self._left):
            self.session.due = now
            self.feed(now)
            self._flush_last()

    def _flush_last(self) -> None:
        try:
            self._own.check()
            if self._unsent:
                self._own.socket.settimeout(0.2)
                self._own.socket.sendall(self._unsent)
                self._unsent = memoryview(b"")
        except (OSError, LostError):
            pass

    def close(self) -> None:
        """Closes its socket, if that is still ours."""
        self._own.close()

    def _read(self) -> None:
        try:
            data = self._own.socket.recv(PIECE)
        except (BlockingIOError, InterruptedError):
            return
        if not data:
            self._drop()
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            if line.strip():
                self._take(bytes(line))
            if self._left or self._closing:
                return
        if len(self._unread) > wire.MAX_REQUEST:
            self._end(f"a line is longer than {wire.MAX_REQUEST} bytes")

    def _take(self, line: bytes) -> None:
        try:
            frame = wire.decode(line)
            if self._nonce is not None:
                self._authenticate(self._nonce, frame)
                return
            for answer in self.session.take(frame):
                self._send(wire.encode(answer))
        except BadRequestError as error:
            self._end(str(error))
        except (ValueError, RecursionError):
            self._end("that line is no frame of looptop: one JSON object a line is expected")
        except (OSError, LostError):
            raise
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """A mistake of ours ends who met it, and nobody else."""
        self._end(f"the probe failed: {type(error).__name__}: {error}"[:MOST_TEXT])

    def _authenticate(self, nonce: str, frame: dict[str, object]) -> None:
        import hmac

        answer = frame.get("answer")
        right = wire.answer(self._token, nonce)
        if (
            frame.get("type") != "auth"
            or not isinstance(answer, str)
            or not hmac.compare_digest(answer.encode(), right.encode())
        ):
            self._end("wrong token")
            return
        self._nonce = None
        self._send(wire.encode(hello.of(self._probe)))

    def _end(self, why: str) -> None:
        self._closing = True
        self._send(wire.encode({"type": "error", "message": why}))
        if not self._unsent:
            self._drop()

    def _send(self, data: bytes) -> None:
        if data:
            self._unsent = memoryview(bytes(self._unsent) + data)
        while self._unsent:
            try:
                sent = self._own.socket.send(self._unsent[:MOST_UNREAD])
                self._probe.woken()
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self._drop()
                return
            self._unsent = self._unsent[sent:]
            self._since = monotonic()
        if self._closing and not self._unsent:
            self._drop()
            return
        # Who does not take answers is not listened to: what it asks would pile up.
        wanted = selectors.EVENT_WRITE if self._unsent else selectors.EVENT_READ
        if not self._left:
            self._selector.modify(self._own.socket, wanted, self)

    def _drop(self) -> None:
        if self._left:
            return
        self._left = True
        self._selector.unregister(self._own.socket)
        self._own.close()
        self._on_left(self)
