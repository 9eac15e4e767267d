"""A resource that is closed: an async context manager opens it, and closes it whatever happens in between.

What you see: rarely more than one `guest-*` task of the server alive, and many that are done.

This is the fix for `resource_leaked`.
"""

import asyncio
from types import TracebackType

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.resource_leaked import Server
from sample_apps.vocabulary import NoFinding, NoSlowCallback, TaskEnded, Tasks

SAMPLE = Sample(
    name="resource_closed",
    topic="generators",
    sentence="Ten connections a second are opened, used and closed by an async context manager.",
    fix=None,
    expectations=(
        TaskEnded(task="guest-*", outcome="done", times=10),
        Tasks(task="guest-*", at_most=3),
        NoSlowCallback(),
        NoFinding(),
    ),
)


class Connection:
    """A connection that is open only inside `async with`."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def __aenter__(self) -> "Connection":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.writer.close()
        await self.writer.wait_closed()


async def visit(port: int) -> bytes:
    """Connect, read the greeting, disconnect."""
    async with Connection(port) as connection:
        return await connection.reader.readline()


async def main(_: Options) -> None:
    """Visit ten times a second."""
    host = Server()
    server = await asyncio.start_server(host.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        for number in range(1_000_000):
            await visit(port)
            if number % 10 == 0:
                print(f"{len(host.guests)} guests are in the house")
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    run(main, SAMPLE)
