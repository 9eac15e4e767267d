"""The client of the HTTP workload: a separate process on another core, so that it is not measured.

Commands come as lines on stdin, `PORT REQUESTS`; each is answered by a line when all responses have arrived.
Connections are kept, and bytes are counted instead of parsed: the client must keep the server busy.
"""

from __future__ import annotations

import asyncio
import sys

CONNECTIONS = 16
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Batch:
    """The requests of one command."""

    def __init__(self, requests: int) -> None:
        self.to_send = self.to_come = requests
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Connection(asyncio.Protocol):
    """One persistent connection: the next request is sent when a response is complete."""

    def __init__(self) -> None:
        self._length = 0
        self._got = b""
        self._batch: Batch | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to write to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Fails the batch, whose responses will not arrive."""
        if self._batch is not None and not self._batch.ended.done():
            self._batch.ended.set_exception(ConnectionError(f"the server went away: {exc}"))

    def begin(self, batch: Batch) -> None:
        """Starts sending requests of a batch."""
        self._batch = batch
        self._next(batch)

    def _next(self, batch: Batch) -> None:
        if batch.to_send:
            batch.to_send -= 1
            self._transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        """Counts bytes; the first response tells how long each is."""
        batch = self._batch
        assert batch is not None
        self._got += data
        if not self._length:
            head, blank, _ = self._got.partition(b"\r\n\r\n")
            if not blank:
                return
            if not head.startswith(b"HTTP/1.1 200"):
                batch.ended.set_exception(ConnectionError(head.decode(errors="replace")))
                return
            lengths = [
                line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
            ]
            self._length = len(head) + 4 + int(lengths[0])
        if len(self._got) < self._length:
            return
        self._got = self._got[self._length :]
        batch.to_come -= 1
        if not batch.to_come:
            batch.ended.set_result(None)
        self._next(batch)


async def main() -> None:
    """Serves commands until stdin ends."""
    loop = asyncio.get_running_loop()
    connections: dict[int, list[Connection]] = {}
    while line := await asyncio.to_thread(sys.stdin.readline):
        port, requests = (int(word) for word in line.split())
        if port not in connections:
            made = [await loop.create_connection(Connection, "127.0.0.1", port) for _ in range(CONNECTIONS)]
            connections[port] = [protocol for _, protocol in made]
        batch = Batch(requests)
        for connection in connections[port]:
            connection.begin(batch)
        await batch.ended
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
