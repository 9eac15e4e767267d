"""An echo server on the loop's selector: `add_reader` and `add_writer` call a plain function when a socket is ready.

What you see: `client-*` tasks that get their echo, and no task that sends it: the server consists of
callbacks, which a list of tasks does not show. Its time is part of the loop's utilization, and a long
callback would be a slow callback without a task. Transports and streams are implemented this way.
"""

import asyncio
import contextlib
import random
import socket

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.streams_echo import client
from sample_apps.vocabulary import NoFinding, NoSlowCallback, NoUnhandled, Tasks, Utilization, Waiting

SAMPLE = Sample(
    name="selectors_echo",
    topic="networks",
    sentence="A server of callbacks, without a single task, echoes the lines of eight clients.",
    fix=None,
    expectations=(
        Waiting(kind="sleep", task="client-*", at_least=1),
        Tasks(task="client-*", at_least=8),
        Tasks(at_most=9),
        Utilization(at_most=0.3),
        NoSlowCallback(),
        NoUnhandled(),
        NoFinding(),
    ),
)
BUFFER = 64 * 1024  # bytes buffered for a client that does not read, before we stop reading from it


class Echo:
    """One connection, and the data still to be sent to it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.unsent = bytearray()
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(connection, self.receive)

    def receive(self) -> None:
        """Receive data, without blocking: the selector has reported that there is some."""
        try:
            received = self.connection.recv(4096)
        except OSError:
            received = b""
        if not received:
            self.close()
            return
        self.unsent += received
        self.loop.add_writer(self.connection, self.send)
        if len(self.unsent) > BUFFER:
            self.loop.remove_reader(self.connection)

    def send(self) -> None:
        """Send as much as the socket accepts."""
        try:
            del self.unsent[: self.connection.send(self.unsent)]
        except OSError:
            self.close()
            return
        if not self.unsent:
            self.loop.remove_writer(self.connection)
            self.loop.add_reader(self.connection, self.receive)

    def close(self) -> None:
        """Close the connection, once."""
        if self.connection.fileno() < 0:
            return
        self.loop.remove_reader(self.connection)
        self.loop.remove_writer(self.connection)
        self.connection.close()


def accept(listener: socket.socket, connections: set[Echo]) -> None:
    """Accept a connection and register it."""
    with contextlib.suppress(OSError):  # it may already be gone
        connection, _ = listener.accept()
        connection.setblocking(False)
        connections.add(Echo(connection))


async def main(options: Options) -> None:
    """Start the server and its clients."""
    rng = random.Random(options.seed)
    loop = asyncio.get_running_loop()
    connections: set[Echo] = set()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        loop.add_reader(listener, accept, listener, connections)
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(8):
                    group.create_task(client(listener.getsockname()[1], rng), name=f"client-{number}")
        finally:
            loop.remove_reader(listener)
            for connection in connections:
                connection.close()


if __name__ == "__main__":
    run(main, SAMPLE)
