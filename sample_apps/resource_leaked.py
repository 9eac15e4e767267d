"""A resource that is not closed: each visit opens a connection and forgets it.

What you see: the server keeps a `guest-*` task for every connection, all created at one line, all waiting for a line
that never arrives; more each second, and open files with them.

The fix: `async with` (`resource_closed`).
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, FilesGrowing, Finding, NoSlowCallback, TasksGrowing

SAMPLE = Sample(
    name="resource_leaked",
    topic="generators",
    sentence="Ten connections a second are opened and never closed, and the server waits for each.",
    fix="resource_closed",
    expectations=(
        TasksGrowing(site="serves", per_second=5),
        AwaitStack(task="guest-*", through=("listens",)),
        FilesGrowing(per_second=10),
        Finding("tasks_growing", line="serves"),
        NoSlowCallback(),
    ),
    watch=7.0,
)
LIMIT = 200  # a sample may be left running
kept: list[object] = []  # else the collector would close them some time


class Server:
    """Greets, and waits for what its guest has to say."""

    def __init__(self) -> None:
        self.guests: set[asyncio.Task[None]] = set()
        self.number = 0

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Have a task for each guest."""
        self.number += 1
        name = f"guest-{self.number}"
        task = asyncio.create_task(self.host(reader, writer), name=name)  # expect: serves
        self.guests.add(task)
        task.add_done_callback(self.guests.discard)

    async def host(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Greet, and wait until the guest goes."""
        try:
            writer.write(b"welcome\n")
            while await reader.readline():  # expect: listens
                pass
        finally:
            writer.close()


async def visit(port: int) -> bytes:
    """Come in, be greeted, and leave the door open."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    kept.append(writer)  # wrong: nobody will ever close it
    return await reader.readline()


async def main(_: Options) -> None:
    """Visit ten times a second."""
    host = Server()
    server = await asyncio.start_server(host.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        try:
            for number in range(LIMIT):
                await visit(port)
                if number % 10 == 0:
                    print(f"{len(host.guests)} guests are in the house")
                await asyncio.sleep(0.1)
            await asyncio.Event().wait()
        finally:
            for task in host.guests:
                task.cancel()
            await asyncio.gather(*host.guests, return_exceptions=True)
            for writer in kept:
                assert isinstance(writer, asyncio.StreamWriter)
                writer.close()


if __name__ == "__main__":
    run(main, SAMPLE)
