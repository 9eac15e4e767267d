"""Connections that stay open after the rush: more than a hundred, and nobody uses them.

What you see: `guest-*` tasks that all wait for a line, twice as many descriptors, and a loop that rests. Nothing grows
any more, so a look at this moment shows nothing wrong; the finding compares with what the probe remembers.

The fix: `async with` (`resource_closed`), or a timeout for guests that say nothing.
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.resource_leaked import Server, kept, visit
from sample_apps.vocabulary import Finding, NoSlowCallback, Tasks

SAMPLE = Sample(
    name="connections_left",
    topic="generators",
    sentence="In a rush 110 connections were opened; all of them stay open, and nothing happens any more.",
    fix="resource_closed",
    expectations=(
        Tasks(task="guest-*", at_least=110),
        Finding("stands_high"),
        NoSlowCallback(over=0.5),
    ),
    watch=50.0,
    seconds=60,
)
RUSH = 110


async def main(_: Options) -> None:
    """Visit in a rush, two seconds after the start."""
    host = Server()
    server = await asyncio.start_server(host.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        try:
            await asyncio.sleep(2)
            for _number in range(RUSH):
                await visit(port)
            print(f"{len(host.guests)} guests are in the house, and stay")
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
