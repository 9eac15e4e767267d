"""An echo server on raw sockets: only the loop's `sock_accept`, `sock_recv` and `sock_sendall`.

What you see: `acceptor` waits on its listening socket, an `echo-*` task for each connection on its own, and
the clients of `streams_echo` notice no difference. Raw sockets give full control and no comfort: no buffer, no
lines, no limits; what `streams_echo` does in three lines, such as TLS, is not available.
"""

import asyncio
import random
import socket

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.streams_echo import client
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, NoUnhandled, TaskEnded, Utilization, Waiting

SAMPLE = Sample(
    name="sockets_echo",
    topic="networks",
    sentence="A server on raw sockets echoes the lines of eight clients.",
    fix=None,
    expectations=(
        Waiting(kind="socket", task="acceptor", at_least=1),
        Waiting(kind="socket", task="echo-*", at_least=4),
        AwaitStack(task="acceptor", through=("accepts",)),
        AwaitStack(task="echo-*", through=("receives",)),
        TaskEnded(task="echo-*", outcome="done", times=5),
        Utilization(at_most=0.3),
        NoSlowCallback(),
        NoUnhandled(),
        NoFinding(),
    ),
)


async def echo(connection: socket.socket) -> None:
    """Echo data until the other side disconnects."""
    loop = asyncio.get_running_loop()
    with connection:
        while received := await loop.sock_recv(connection, 4096):  # expect: receives
            await loop.sock_sendall(connection, received)


async def acceptor(listener: socket.socket) -> None:
    """Accept connections, and start a task for each."""
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as connections:
        while True:
            connection, (_, port) = await loop.sock_accept(listener)  # expect: accepts
            connections.create_task(echo(connection), name=f"echo-{port}")


async def main(options: Options) -> None:
    """Start the server and its clients."""
    rng = random.Random(options.seed)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)  # required by the loop's sock_* methods
        async with asyncio.TaskGroup() as group:
            group.create_task(acceptor(listener), name="acceptor")
            for number in range(8):
                group.create_task(client(listener.getsockname()[1], rng), name=f"client-{number}")


if __name__ == "__main__":
    run(main, SAMPLE)
