"""An echo server on raw sockets: `sock_accept`, `sock_recv` and `sock_sendall` of the loop, and nothing around them.

What you see: `acceptor` waits on its listening socket, an `echo-*` task for each connection on its own, and
the clients of `streams_echo` notice no difference. Raw sockets give all control and no comfort: no buffer, no
lines, no limit; what `streams_echo` does in three lines, TLS for one, is not to be had.
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
    """Send back what comes, until the other side hangs up."""
    loop = asyncio.get_running_loop()
    with connection:
        while received := await loop.sock_recv(connection, 4096):  # expect: receives
            await loop.sock_sendall(connection, received)


async def acceptor(listener: socket.socket) -> None:
    """Take one connection after the other, each in a task of its own."""
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as connections:
        while True:
            connection, (_, port) = await loop.sock_accept(listener)  # expect: accepts
            connections.create_task(echo(connection), name=f"echo-{port}")


async def main(options: Options) -> None:
    """Start the server and its clients."""
    rng = random.Random(options.seed)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)  # the loop waits, not the call
        async with asyncio.TaskGroup() as group:
            group.create_task(acceptor(listener), name="acceptor")
            for number in range(8):
                group.create_task(client(listener.getsockname()[1], rng), name=f"client-{number}")


if __name__ == "__main__":
    run(main, SAMPLE)
