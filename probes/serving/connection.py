"""One viewer's connection: parses its frames, and sends output as fast as the viewer reads it."""

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
    from .tls import TlsSocket

MOST_UNREAD = 256 << 10
"""Most bytes passed to a viewer's socket in one call; see docs/protocol.md, Bounds."""
PIECE = 4096
"""Bytes read in one call. Frames of viewers are short, and Python allocates the whole buffer beforehand."""
MOST_TEXT = 200
MOST_PROOF = 1024
"""Most bytes of a line before the token was proved."""
STALLED = 60.0
IDLE = 60.0
"""Seconds of silence after which a connection that has not sent `watch` is closed."""
UNKNOWN_PEER = 5.0


class Proof:
    """The token that a viewer over TCP must prove to know before its requests are accepted."""

    __slots__ = ("admit", "nonce", "token")

    def __init__(self, token: str, admit: Callable[[Viewer], str | None]) -> None:
        """`admit` is called after the proof; it returns why the viewer cannot be admitted, or None."""
        self.token = token
        self.nonce = os.urandom(16).hex()
        self.admit = admit


class Viewer:
    """A viewer, from its first frame until it leaves or is dropped."""

    def __init__(
        self,
        sock: socket.socket | TlsSocket,
        probe: Host,
        selector: selectors.BaseSelector,
        on_left: Callable[[Viewer], None],
        proof: Proof | None = None,
        host: str = "",
    ) -> None:
        """`proof`: None for a viewer that need not prove a token. `host`: its address, over TCP."""
        self.host = host
        self.session = Session(probe)
        self._probe = probe
        self._own = OwnSocket(sock)
        self._selector = selector
        self._proof = proof  # None once the token was proved
        self._on_left = on_left
        self._unread = bytearray()
        self._unsent = memoryview(b"")
        self._since = monotonic()  # time of the last progress
        self._closing = False
        self._left = False

    def greet(self) -> None:
        """Sends `hello`, or the challenge for the token."""
        self._selector.register(self._own.socket, selectors.EVENT_READ, self)
        if self._proof is not None:
            self._send(
                protocol.encode({"type": "challenge", "protocol": protocol.PROTOCOL, "nonce": self._proof.nonce})
            )
        else:
            self._send(protocol.encode(hello.of(self._probe)))

    def due(self) -> float | None:
        """When `feed` must be called; None: no need."""
        if self._unsent:
            return self._since + (STALLED if self._proof is None else UNKNOWN_PEER)
        if self.session.wants_output():
            return 0.0
        if self.session.watching:
            return self.session.due
        return self._since + self._patience

    @property
    def _patience(self) -> float:
        """Seconds for which the viewer may be silent before its first `watch` frame."""
        return IDLE if self._proof is None else UNKNOWN_PEER

    def feed(self, now: float) -> None:
        """Sends due output; drops a viewer that does not read, or does not prove the token in time."""
        if self._unsent:
            if now - self._since > (STALLED if self._proof is None else UNKNOWN_PEER):
                self._explain_tls()
                self._drop()
            return
        if not self.session.watching and now - self._since > self._patience:
            self._own.check()
            self._end("the connection was idle for too long")
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
        """Sends or reads, as far as its socket is ready."""
        if self._left:
            return
        self._own.check()
        try:
            if events & selectors.EVENT_WRITE and self._unsent:
                self._send(b"")
            if events & selectors.EVENT_READ:
                self._read()
                while not (self._left or self._closing) and self._pending():
                    self._read()
                if self._unsent and not self._left:  # it may have waited for what came
                    self._send(b"")
        except OSError:
            self._drop()

    def _pending(self) -> int:
        pending = getattr(self._own.socket, "pending", None)
        return 0 if pending is None else pending()

    def _explain_tls(self) -> None:
        """Tells somebody who has not begun TLS that it is needed."""
        send_plain = getattr(self._own.socket, "send_plainly", None)
        if send_plain is not None:
            self._own.check()
            send_plain(protocol.encode({"type": "error", "message": "TLS is needed here: give --cafile"}))

    def send_last(self, now: float) -> None:
        """Sends pending output and a last tick, which holds the reason why a program ended.

        Tried once, with a short timeout, when the probe ends.
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
        """Closes its socket, unless the program has closed it already."""
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
            self._end("that line is not a frame of looptop: expected one JSON object per line")
        except (OSError, LostError):
            raise
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Ends this connection because of a bug in the probe; other viewers are not affected."""
        self._end(f"the probe failed: {type(error).__name__}: {error}"[:MOST_TEXT])

    def give_way(self) -> None:
        """Closes the connection in favour of a newer one that has not proved the token either."""
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
        # Do not read from a viewer that does not read: its requests would pile up.
        blocked = self._unsent and not getattr(self._own.socket, "waits_to_read", False)
        wanted = selectors.EVENT_WRITE if blocked else selectors.EVENT_READ
        if not self._left:
            self._selector.modify(self._own.socket, wanted, self)

    def _drop(self) -> None:
        if self._left:
            return
        self._left = True
        self._selector.unregister(self._own.socket)
        self._own.close()
        self._on_left(self)
