"""A live connection as a frame source, served by its own thread that reconnects when the connection breaks."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from monitor.errors import LooptopError, ProcessGone
from monitor.protocol import frames
from monitor.sources.base import Status
from monitor.transport.connection import Connection
from monitor.transport.silence import SILENT, why

FIRST_PAUSE = 0.25
NEXT_TRY = "; next try in "
"""Stands between why a connection failed and when it is tried again."""
LONGEST_PAUSE = 5.0
MOST_WAITING = 4 << 20
"""Bytes of frames waiting for the screen. Above that nothing is read, so that the probe merges frames instead."""

FIRST_WAITING = 128 << 10
"""As MOST_WAITING, before the first frames are taken: reading competes with loading the screens."""

MOST_ASKED = 1000
"""Requests waiting to be sent."""

FAREWELL = 1.5
"""Seconds to find out whether a program that closed its connection has ended."""

NEWS = 15.0
"""Seconds for which a restart of the program is reported."""

Connect = Callable[[], Connection]


class LiveSource:
    """Frames of a running program. No method but `close` blocks the screen."""

    def __init__(
        self,
        connect: Connect,
        *,
        first: Connection | None = None,
        ended: Callable[[], str | None] = lambda: None,
        eager: bool = False,
    ) -> None:
        """`connect` opens a connection or raises LooptopError; `first` is one that is already open.

        `ended` describes how the program ended, or returns None while it runs; after the end there are no retries.
        `eager` is for a program that is just starting: retry in short intervals until it answers.
        """
        self.status = Status("connecting", "", time.time())
        self.owner: int | None = None
        self._connect = connect
        self._first = first
        self._ended = ended
        self._eager = eager
        self._lock = threading.Lock()
        self._frames: deque[tuple[list[frames.Frame], int]] = deque()
        self._waiting, self._most = 0, FIRST_WAITING
        self._watched: dict[str, Any] = {}
        self._outgoing: deque[dict[str, object]] = deque()
        self._connected = False
        self._last_id = 0
        self._closing = False
        self._session: str | None = None
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="looptop-source", daemon=True)

    # Called by the screen

    def start(self) -> None:
        """Start connecting. May be called early, because screens take longer to load than this takes to connect."""
        if self._thread.ident is None:
            self._thread.start()

    def frames(self) -> list[frames.Frame]:
        """Frames received since the last call."""
        with self._lock:
            came = [frame for batch, _ in self._frames for frame in batch]
            self._frames.clear()
            full, self._waiting, self._most = self._waiting > self._most, 0, MOST_WAITING
        if full:
            self._wake()
        return came

    def watch(self, **what: Any) -> None:
        """Set what the viewer looks at; sent again after a reconnect."""
        with self._lock:
            self._watched.update(what)
            if self._connected and self._outgoing and self._outgoing[-1]["type"] == "watch":
                self._outgoing[-1].update(what)
            elif self._connected:
                self._outgoing.append({"type": "watch", **what})
        self._wake()

    def request(self, op: str, **arguments: Any) -> int:
        """Send a request and return its id; 0 if not connected."""
        with self._lock:
            if not self._connected or len(self._outgoing) >= MOST_ASKED:
                return 0
            self._last_id += 1
            self._outgoing.append({"type": "request", "id": self._last_id, "op": op, **arguments})
            number = self._last_id
        self._wake()
        return number

    def close(self, *, wait: bool = True) -> None:
        """End the connection and the thread; without `wait`, do not wait until the thread has ended."""
        self._closing = True
        self._wake()
        if wait and self._thread.is_alive():
            self._thread.join(2.0)

    # Run in the thread

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._closing:
            connection = self._try(pause)
            if connection is not None:
                pause = FIRST_PAUSE
                self._serve(connection)
            if self._closing or self.status.state == "ended":
                break
            if self._report_end(0.0):
                break
            if self._eager and self._session is None:
                self._sleep(0.05)
                continue
            self._sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        with contextlib.suppress(OSError):
            self._wake_read.close()

    def _try(self, pause: float) -> Connection | None:
        """Open a connection; on failure set the status and return None."""
        first, self._first = self._first, None
        if first is not None:
            return first
        try:
            return self._connect()
        except ProcessGone as error:
            if not self._eager:
                self._say("ended", f"the program has ended ({error.message})")
        except LooptopError as error:
            if self._session is not None or not self._eager:
                self._say("lost", f"{error}{NEXT_TRY}{pause:.3g} s")
            elif self.status.state != "connecting" or not self.status.text:
                self._say("connecting", "waiting for the program to start")
        return None

    def _serve(self, connection: Connection) -> None:
        """Read and write until the connection ends."""
        another = self._session is not None and self._session != connection.hello.session
        self._session = connection.hello.session
        self.owner = connection.owner
        with self._lock:
            self._connected = True
            self._outgoing.clear()
            self._frames.append(([connection.hello], 0))
            if self._watched:
                self._outgoing.append({"type": "watch", **self._watched})
        self._say("connected", "this is another session: the program was started anew" if another else "")
        try:
            self._exchange(connection)
        except LooptopError as error:
            reason = error.message
        else:
            reason = ""
        finally:
            connection.close()
            with self._lock:
                self._connected = False
                self._outgoing.clear()
        if self._closing or self._report_end(FAREWELL):
            return
        self._say("lost", f"{reason}; trying again")

    def _exchange(self, connection: Connection) -> None:
        last_frame = time.monotonic()
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        reading = False
        while not self._closing:
            self._send(connection)
            full = self._waiting > self._most
            if reading == full:
                reading = not full
                if reading:
                    poll.register(connection, select.POLLIN)
                else:
                    poll.unregister(connection)
            ready = {handle for handle, _ in poll.poll(0 if connection.pending else 1000)}
            if self._wake_read.fileno() in ready:
                self._drain_wake()
            if connection.pending or connection.fileno() in ready:
                self._receive(connection)
                last_frame = time.monotonic()
            self._report_stall(connection, time.monotonic() - last_frame if reading and self._watched else 0.0)
            self._forget_news()

    def _report_stall(self, connection: Connection, seconds: float) -> None:
        """Report in the status that the data is old while ticks are overdue."""
        if seconds >= max(SILENT, 3 / float(self._watched.get("rate", 4))):
            self._say("silent", why(connection.hello), seconds)
        elif self.status.state == "silent":
            self._say("connected", "")

    def _receive(self, connection: Connection) -> None:
        before = connection.received
        came = connection.receive(0.0)
        if came:
            size = connection.received - before
            with self._lock:
                self._frames.append((came, size))
                self._waiting += size

    def _send(self, connection: Connection) -> None:
        while True:
            with self._lock:
                if not self._outgoing:
                    return
                frame = self._outgoing.popleft()
            connection.send(frame)

    def _report_end(self, patience: float) -> bool:
        """Whether the program ended within `patience` seconds; if so, the status says so for good."""
        until = time.monotonic() + patience
        while True:
            how = self._ended()
            if how is not None:
                self._say("ended", how)
                return True
            if time.monotonic() >= until or self._closing or not self._eager:
                return False
            self._sleep(0.02)

    def _say(self, state: str, text: str, ago: float = 0.0) -> None:
        if (state, text) != (self.status.state, self.status.text):
            same = state == self.status.state and state in ("lost", "silent")
            since = self.status.since if same else time.time() - ago
            self.status = Status(state, text, since)

    def _forget_news(self) -> None:
        status = self.status
        if status.state == "connected" and status.text and time.time() - status.since > NEWS:
            self.status = Status("connected", "", status.since)

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._closing and (left := until - time.monotonic()) > 0:
            ready, _, _ = select.select([self._wake_read], [], [], left)
            if ready:
                self._drain_wake()

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_read.recv(4096):
                pass

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_write.send(b".")
