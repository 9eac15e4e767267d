"""One connection: what a viewer says is read and taken, what it is told is sent as fast as it reads."""

from __future__ import annotations

import os
import selectors
from time import monotonic
from typing import TYPE_CHECKING

from ..base import protocol
from ..base.owned_fds import LostError, OwnSocket
from ..base.validation import BadRequestError
from . import hello
from .session import Session

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from .host import Host

MOST_UNREAD = 256 << 10
"""Bytes that are handed to a viewer's socket at most before it has read them; see docs/protocol.md, Bounds."""
PIECE = 4096
"""Bytes that are read at once: what a viewer says is short, and Python takes room for all of a piece beforehand."""
MOST_TEXT = 200
MOST_PROOF = 1024
"""Bytes of a line before the token was proven."""
STALLED = 60.0
IDLE = 60.0
"""Seconds without a word after which a connection ends that does not watch."""
UNKNOWN_PEER = 5.0


class Proof:
    """What a viewer over TCP must prove to know before it is listened to."""

    __slots__ = ("admit", "nonce", "token")

    def __init__(self, token: str, admit: Callable[[Viewer], str | None]) -> None:
        """`admit` is called after the proof; it returns why the viewer cannot be let in, or None."""
        self.token = token
        self.nonce = os.urandom(16).hex()
        self.admit = admit


class Viewer:
    """A viewer from its first frame until it has left, or was dropped."""

    def __init__(
        self,
        sock: socket.socket,
        probe: Host,
        selector: selectors.BaseSelector,
        on_left: Callable[[Viewer], None],
        proof: Proof | None = None,
        host: str = "",
    ) -> None:
        """`proof`: None for a viewer that need not prove anything. `host`: where it comes from, over TCP."""
        self.host = host
        self.session = Session(probe)
        self._probe = probe
        self._own = OwnSocket(sock)
        self._selector = selector
        self._proof = proof  # None as soon as the token was proven
        self._on_left = on_left
        self._unread = bytearray()
        self._unsent = memoryview(b"")
        self._since = monotonic()  # of the last progress
        self._closing = False
        self._left = False

    def greet(self) -> None:
        """Tells it who is here, or asks for the proof."""
        self._selector.register(self._own.socket, selectors.EVENT_READ, self)
        if self._proof is not None:
            self._send(
                protocol.encode({"type": "challenge", "protocol": protocol.PROTOCOL, "nonce": self._proof.nonce})
            )
        else:
            self._send(protocol.encode(hello.of(self._probe)))

    def due(self) -> float | None:
        """When `feed` wants to be called; None: no need."""
        if self._unsent:
            return self._since + (STALLED if self._proof is None else UNKNOWN_PEER)
        if self.session.wants_output():
            return 0.0
        if self.session.watching:
            return self.session.due
        return self._since + self._patience

    @property
    def _patience(self) -> float:
        """Seconds for which it may say nothing before it watches."""
        return IDLE if self._proof is None else UNKNOWN_PEER

    def feed(self, now: float) -> None:
        """Sends what is due; drops who takes nothing, or does not prove that it knows the token."""
        if self._unsent:
            if now - self._since > (STALLED if self._proof is None else UNKNOWN_PEER):
                self._drop()
            return
        if not self.session.watching and now - self._since > self._patience:
            self._own.check()
            self._end("nothing was said for too long")
            return
        if self._proof is not None:
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
        if self._proof is None:
            self._since = monotonic()
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            if line.strip():
                self._take(bytes(line))
            if self._left or self._closing:
                return
        most = protocol.MAX_REQUEST if self._proof is None else MOST_PROOF
        if len(self._unread) > most:
            self._end(f"a line is longer than {most} bytes")

    def _take(self, line: bytes) -> None:
        try:
            frame = protocol.decode(line)
            if self._proof is not None:
                self._authenticate(self._proof, frame)
                return
            for answer in self.session.take(frame):
                self._send(protocol.encode(answer))
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

    def give_way(self) -> None:
        """Makes room for another one that has not proven anything either."""
        self._own.check()
        self._end("too many connections without a proof of the token")
        self._drop()

    def _authenticate(self, proof: Proof, frame: dict[str, object]) -> None:
        import hmac

        answer = frame.get("answer")
        right = protocol.answer(proof.token, proof.nonce)
        if (
            frame.get("type") != "auth"
            or not isinstance(answer, str)
            or not hmac.compare_digest(answer.encode(), right.encode())
        ):
            self._end("wrong token")
            return
        refusal = proof.admit(self)
        if refusal is not None:
            self._end(refusal)
            return
        self._proof = None
        self._send(protocol.encode(hello.of(self._probe)))

    def _end(self, why: str) -> None:
        self._closing = True
        self._send(protocol.encode({"type": "error", "message": why}))
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
