"""The link to another machine or container: requests, and connections as channels through stdin and stdout."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import socket
import threading
import time
import zlib
from typing import TYPE_CHECKING, Any

import msgspec

from monitor.errors import ConnectError, LooptopError, Unreachable
from monitor.remote import sent
from monitor.remote.answers import Answer, Hello, decoded, error_of, last_line, members_of
from monitor.remote.command import FAREWELL, LAST_BYTES, Command
from monitor.remote.relay import ASK, CLOSE, CREDIT, DATA, FROM_THERE, HEADER, PIECE, PING, SAY, WINDOW, Frames

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT = 60.0
"""Seconds for the command to lead to a Python: a person may have to type a password."""
ANSWER = 20.0
"""Seconds to wait for an answer."""
PING_EVERY = 5.0
SILENT = 20.0
"""Seconds without a byte from the other side after which it is taken to be gone."""
MOST_NOISE = 64 << 10
"""Bytes that a shell there may print before the relay's first answer."""
MOST_ANSWERS = 10
"""Answers of a channel that nobody has read yet, above which the other side is not looptop's."""
MOST_OUTGOING = 1 << 20
"""Bytes that wait to be sent, above which nothing more is read of what connections send."""


class Opened(msgspec.Struct, frozen=True):
    """A connection to a probe on the other side."""

    sock: socket.socket
    answer: Answer
    why: Callable[[], str]  # why it ended, once it has; empty if the link is fine


class _Channel:
    """One request, and the connection that it opened."""

    def __init__(self) -> None:
        self.answers: queue.Queue[bytes | LooptopError] = queue.Queue()
        self.sock: socket.socket | None = None  # the end that looptop uses
        self.inner: socket.socket | None = None  # the end of the link
        self.room = WINDOW
        self.unread = bytearray()
        self.delivered = 0
        self.events = 0
        self.ending = False  # the other side closed it, but not all that came has been read


class Link:
    """A running command. Its thread passes bytes on; all methods may be called from any thread."""

    def __init__(self, command: str, alone: bool = False) -> None:
        """Run the command and wait for the relay. `alone`: without a terminal, on which it would ask for a password.

        Raises ConnectError.
        """
        self.command = command
        self.hello: Hello
        self.skew: float  # seconds by which its clock is ahead of ours
        self._reason: LooptopError | None = None
        self._marker = b"looptop-" + os.urandom(8).hex().encode("ascii") + b"\n"
        bundle = sent.bundle(self._marker.decode("ascii"))
        self._process = Command(command, len(bundle), alone)
        self._outgoing = bytearray(bundle)
        first = _Channel()
        self._channels: dict[int, _Channel] = {0: first}
        self._last = 0
        self._lock = threading.Lock()
        self._keeping = threading.Lock()
        self._kept = False
        self._noise: bytearray | None = bytearray()
        self._frames = Frames(FROM_THERE)
        self._received_at = self._pinged = 0.0
        self._poll = select.poll()
        self._closing = False
        self._wake_read, self._wake_write = socket.socketpair()
        for end in (self._wake_read, self._wake_write):
            end.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="looptop-via", daemon=True)
        self._thread.start()
        try:
            self.hello = decoded(self._answer(first, CONNECT, "does not answer"), Hello, command)
            self.skew = self.hello.now - time.time()
        except BaseException:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether it can be used."""
        return self._reason is None and not self._closing

    def why(self) -> str:
        """Why it has ended; empty while it works."""
        return "" if self._reason is None else str(self._reason)

    def ask(self, op: str, timeout: float = ANSWER, **arguments: Any) -> bytes:
        """The answer to a request, as JSON. Raises LooptopError for an error there."""
        number, channel = self._send(op, arguments)
        try:
            return self._answer(channel, timeout, f"does not answer for {timeout:g} s")
        finally:
            self._drop(number)

    def keep(self, things: Callable[[], dict[str, Any]]) -> None:
        """Send what an injection needs, once."""
        with self._keeping:
            if not self._kept:
                number, _ = self._send("keep", {"things": things()})
                self._drop(number)
                self._kept = True

    def open(self, target: str, timeout: float = ANSWER, op: str = "open", **arguments: Any) -> Opened:
        """Connect to the probe of a TARGET there, or to what another request opens. Raises LooptopError."""
        number, channel = self._send(op, {"target": target, **arguments})
        try:
            content = self._answer(channel, timeout, f"does not answer for {timeout:g} s")
            answer: Answer = decoded(content, Answer, self.command)
            if channel.sock is None:
                raise ConnectError(
                    f"{self.command}: {target} cannot be reached there", "the relay opened no connection"
                )
        except BaseException:
            self._drop(number)
            raise
        return Opened(channel.sock, answer, self.why)

    def members(self, target: str) -> list[str]:
        """The processes that a TARGET means there, each as a TARGET of its own. Raises LooptopError."""
        answer: Answer = decoded(self.ask("members", target=target), Answer, self.command)
        return members_of(target, answer)

    def follow(self, op: str, on_answer: Callable[[Answer], None], **arguments: Any) -> None:
        """Wait for the first of several answers, and call `on_answer` with each from now on, in a thread of its own."""
        number, channel = self._send(op, arguments)
        try:
            on_answer(decoded(self._answer(channel, ANSWER, "does not answer"), Answer, self.command))
        except BaseException:
            self._drop(number)
            raise

        def listen() -> None:
            with contextlib.suppress(LooptopError):
                while True:
                    on_answer(decoded(self._answer(channel, None, ""), Answer, self.command))
            self._drop(number)

        threading.Thread(target=listen, name="looptop-via-members", daemon=True).start()

    def close(self) -> None:
        """End the command. Without its stdin the relay ends, and with it the command; else it is terminated."""
        self._closing = True
        self._wake()
        self._thread.join(3 * FAREWELL)

    def _send(self, op: str, arguments: dict[str, Any]) -> tuple[int, _Channel]:
        content = zlib.compress(json.dumps({"op": op, **arguments}).encode("ascii"), 1)
        with self._lock:
            if not self.alive:
                raise self._gone()
            self._last += 1
            number, channel = self._last, _Channel()
            self._channels[number] = channel
            self._outgoing += HEADER.pack(ASK, number, len(content)) + content
        self._wake()
        return number, channel

    def _answer(self, channel: _Channel, timeout: float | None, text: str) -> bytes:
        try:
            answer = channel.answers.get(timeout=timeout)
        except queue.Empty:
            raise Unreachable(f"{self.command} {text}", self._process.last_error() or self._why_silent()) from None
        if isinstance(answer, LooptopError):
            raise answer
        error = decoded(answer, Answer, self.command).error if b'"error"' in answer[:10] else None
        if error is not None:
            raise error_of(error, self.command)
        return answer

    def _why_silent(self) -> str:
        if self._noise is None:
            return "the connection may have broken: try again"
        if self._noise:
            return (
                "the other side prints something else than looptop's relay: does the command allocate a terminal (-t)?"
            )
        return "is that the right host?"

    def _gone(self) -> LooptopError:
        return self._reason or ConnectError(f"{self.command} has ended", "")

    def _drop(self, number: int) -> None:
        with self._lock:
            channel = self._channels.pop(number, None)
            if channel is None or not self.alive:
                return
            self._outgoing += HEADER.pack(CLOSE, number, 0)
            for sock in (channel.sock, channel.inner):
                if sock is not None:
                    sock.close()
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_write.send(b".")

    # Run in the thread

    def _run(self) -> None:
        try:
            self._pump()
        except LooptopError as error:
            self._reason = error
        except Exception as error:  # noqa: BLE001 - raised where somebody waits for an answer
            self._reason = ConnectError(f"{self.command}: {type(error).__name__}", str(error))
        finally:
            self._end()

    def _pump(self) -> None:
        process = self._process
        poll = self._poll
        for handle in (process.stdout, process.stderr, self._wake_read.fileno()):
            poll.register(handle, select.POLLIN)
        work = {
            process.stdin: self._write,
            process.stdout: self._read,
            process.stderr: self._read_errors,
            self._wake_read.fileno(): self._drain_wake,
        }
        self._received_at = self._pinged = time.monotonic()
        writing = False
        while not self._closing:
            if bool(self._outgoing) != writing:
                writing = not writing
                if writing:
                    poll.register(process.stdin, select.POLLOUT)
                else:
                    poll.unregister(process.stdin)
            for handle, _ in poll.poll(1000):
                work.get(handle, self._serve)(handle)
            self._follow_channels()
            self._report_stall()

    def _drain_wake(self, _handle: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_read.recv(4096):
                pass

    def _report_stall(self) -> None:
        """Ping the other side now and then. Raises Unreachable if nothing has come from it for SILENT."""
        now = time.monotonic()
        if self._noise is not None:
            return
        if now - self._pinged > PING_EVERY:
            self._pinged = now
            with self._lock:
                self._outgoing += HEADER.pack(PING, 0, 0)
        if now - self._received_at > SILENT:
            raise Unreachable(f"{self.command} does not answer any more", f"nothing came for {SILENT:g} s")

    def _write(self, handle: int) -> None:
        with self._lock:
            try:
                del self._outgoing[: os.write(handle, self._outgoing[: 1 << 16])]
            except BlockingIOError:
                return
            except OSError:  # it ended: reading tells why
                self._outgoing.clear()

    def _read(self, handle: int) -> None:
        try:
            data = os.read(handle, 1 << 16)
        except BlockingIOError:
            return
        self._received_at = time.monotonic()
        if not data:
            raise self._process.why_ended(self._noise)
        if self._noise is not None:
            self._noise += data
            before, marker, rest = self._noise.partition(self._marker)
            if not marker:
                if len(before) > MOST_NOISE:
                    raise ConnectError(f"{self.command} prints too much on stdout", last_line(before[:LAST_BYTES]))
                return
            self._noise = None
            data = bytes(rest)
        try:
            for frame in self._frames.feed(data):
                self._take(*frame)
        except ValueError:
            text = f"{self.command} returns data that is not looptop's"
            raise ConnectError(text, f"something there prints {last_line(data)!r}") from None

    def _take(self, kind: int, number: int, content: bytes) -> None:
        channel = self._channels.get(number)
        if channel is None:  # closed meanwhile
            return
        if kind == SAY:
            opens = b'"open": true' in content[:20]
            if channel.answers.qsize() >= MOST_ANSWERS or (opens and channel.inner is not None):
                raise ConnectError(f"{self.command} returns data that is not looptop's", "more data than was requested")
            if opens:
                ours, channel.inner = socket.socketpair()
                channel.inner.setblocking(False)
                channel.sock = ours
            channel.answers.put(content)
        elif kind == DATA:
            channel.room -= len(content)
            if channel.inner is None or channel.room < 0:
                raise ConnectError(f"{self.command} returns data that is not looptop's", "more data than was requested")
            channel.unread += content
            self._deliver(number, channel)
        elif kind == CLOSE and not channel.ending:
            channel.answers.put(ConnectError(f"{self.command}: no answer", "it was closed there"))
            channel.ending = True

    def _deliver(self, number: int, channel: _Channel) -> None:
        """Pass on the data of a connection, and grant the other side as much again."""
        if channel.inner is None:
            return
        try:
            while channel.unread:
                count = channel.inner.send(channel.unread[:PIECE])
                del channel.unread[:count]
                channel.delivered += count
        except BlockingIOError:
            pass
        except OSError:  # closed by looptop: `_serve` sees that
            channel.delivered += len(channel.unread)
            channel.unread.clear()
        if channel.delivered > WINDOW // 4:
            channel.room += channel.delivered
            with self._lock:
                self._outgoing += HEADER.pack(CREDIT, number, 4) + channel.delivered.to_bytes(4, "big")
            channel.delivered = 0

    def _follow_channels(self) -> None:
        """Poll each connection for what can be done; end those that have ended there."""
        for number, channel in list(self._channels.items()):
            if channel.inner is None or channel.inner.fileno() < 0:
                continue
            if channel.ending and not channel.unread:
                self._forget(number, channel)
                continue
            events = select.POLLOUT if channel.unread else 0
            if len(self._outgoing) < MOST_OUTGOING:
                events |= select.POLLIN
            if events != channel.events:
                if events:
                    self._poll.register(channel.inner, events)
                else:
                    self._poll.unregister(channel.inner)
                channel.events = events

    def _serve(self, handle: int) -> None:
        for number, channel in list(self._channels.items()):
            if channel.inner is not None and channel.inner.fileno() == handle:
                if channel.unread:
                    self._deliver(number, channel)
                try:
                    data = channel.inner.recv(PIECE)
                except BlockingIOError:
                    return
                except OSError:
                    data = b""
                with self._lock:
                    self._outgoing += HEADER.pack(DATA if data else CLOSE, number, len(data)) + data
                if not data:
                    self._forget(number, channel)
                return
        self._poll.unregister(handle)  # dropped meanwhile

    def _forget(self, number: int, channel: _Channel) -> None:
        with self._lock:
            self._channels.pop(number, None)
        if channel.inner is not None:
            if channel.events:
                self._poll.unregister(channel.inner)
            channel.inner.close()

    def _read_errors(self, handle: int) -> None:
        if not self._process.read_errors():
            self._poll.unregister(handle)

    def _end(self) -> None:
        """Close everything; requests without an answer fail with the reason."""
        with self._lock:
            self._closing = True
            channels, self._channels = self._channels, {}
        for channel in channels.values():
            if channel.inner is not None:
                channel.inner.close()
            channel.answers.put(self._gone())
        self._process.end()
        for end in (self._wake_read, self._wake_write):
            end.close()
