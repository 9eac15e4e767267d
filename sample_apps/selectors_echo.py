"""An echo server on the loop's selector: `add_reader` and `add_writer` call a plain function when a socket is ready.

What you see: `client-*` tasks that get their echo, and no task at all that sends it: the server consists of
callbacks, which a list of tasks does not show. Its time is in the utilization of the loop, and if one of them
took long, it would be a slow callback of no task. This is what transports and streams are made of.
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
BUFFER = 64 * 1024  # bytes that are kept for a client that does not read; then it is not listened to


class Echo:
    """One connection, and what is still to be sent to it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.unsent = bytearray()
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(connection, self.receive)

    def receive(self) -> None:
        """Take what has come, which does not block: the selector has said that there is something."""
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
        """Send what the socket has room for."""
        try:
            del self.unsent[: self.connection.send(self.unsent)]
        except OSError:
            self.close()
            return
        if not self.unsent:
            self.loop.remove_writer(self.connection)
            self.loop.add_reader(self.connection, self.receive)

    def close(self) -> None:
        """Hang up; the second time, do nothing."""
        if self.connection.fileno() < 0:
            return
        self.loop.remove_reader(self.connection)
        self.loop.remove_writer(self.connection)
        self.connection.close()


def accept(listener: socket.socket, connections: set[Echo]) -> None:
    """Take the connection that has come."""
    with contextlib.suppress(OSError):  # it may be gone again
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
