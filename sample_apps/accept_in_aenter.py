"""A socket that is accepted in `__aenter__`: the body of the `async with` begins when a client has connected.

What you see: `host` waits for a socket in `__aenter__`, at the line that accepts, and then inside the body, at
the line that receives; the await stack shows the difference.
"""

import asyncio
import itertools
import socket
from types import TracebackType

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, Tasks, Waiting

SAMPLE = Sample(
    name="accept_in_aenter",
    topic="generators",
    sentence="An async context manager accepts a connection on entry, and closes it on exit.",
    fix=None,
    expectations=(
        Waiting(kind="socket", task="host", at_least=1),
        AwaitStack(task="host", through=("enters", "accepts")),
        AwaitStack(task="host", through=("receives",)),
        Tasks(at_most=3),
        NoSlowCallback(),
        NoFinding(),
    ),
)


class Call:
    """A call that is waited for and taken by `async with`."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener

    async def __aenter__(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        self.connection, _ = await loop.sock_accept(self.listener)  # expect: accepts
        self.connection.setblocking(False)
        return self.connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.connection.close()


async def host(listener: socket.socket) -> None:
    """Take one call after the other."""
    loop = asyncio.get_running_loop()
    while True:
        async with Call(listener) as connection:  # expect: enters
            said = await loop.sock_recv(connection, 1000)  # expect: receives
            print(said.decode())


async def caller(address: tuple[str, int]) -> None:
    """Call, hesitate, say something, and wait before the next call."""
    loop = asyncio.get_running_loop()
    for number in itertools.count():
        with socket.socket() as connection:
            connection.setblocking(False)
            await loop.sock_connect(connection, address)
            await asyncio.sleep(0.35)
            await loop.sock_sendall(connection, f"call {number}".encode())
        await asyncio.sleep(0.35)


async def main(_: Options) -> None:
    """Start the server and call it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        async with asyncio.TaskGroup() as group:
            group.create_task(host(listener), name="host")
            group.create_task(caller(listener.getsockname()), name="caller")


if __name__ == "__main__":
    run(main, SAMPLE)
