"""An echo server on streams, and eight clients that talk to it over loopback.

What you see: an `echo-*` task for each connection that waits on its stream most of the time, `client-*`
tasks that sleep between their lines, and a loop without problems. This is what a healthy
server looks like.
"""

import asyncio
import contextlib
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, NoUnhandled, TaskEnded, Utilization, Waiting

SAMPLE = Sample(
    name="streams_echo",
    topic="networks",
    sentence="A server on streams echoes the lines of eight clients.",
    fix=None,
    expectations=(
        Waiting(kind="socket", task="echo-*", at_least=4),
        Waiting(kind="sleep", task="client-*", at_least=1),
        TaskEnded(task="echo-*", outcome="done", times=5),
        Utilization(at_most=0.3),
        NoSlowCallback(),
        NoUnhandled(),
        NoFinding(),
    ),
)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, a line at a time, until the other side hangs up."""
    task = asyncio.current_task()
    assert task is not None
    task.set_name(f"echo-{writer.get_extra_info('peername')[1]}")
    with contextlib.suppress(ConnectionError), contextlib.closing(writer):
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()


async def conversation(port: int, rng: random.Random) -> int:
    """Connect, say ten lines, check that each comes back, hang up; returns the bytes that came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = 0
    try:
        for _ in range(10):
            said = rng.randbytes(rng.randrange(1, 1000)).hex().encode() + b"\n"
            writer.write(said)
            await writer.drain()
            heard = await reader.readline()
            if heard != said:
                raise ValueError(f"said {said!r}, heard {heard!r}")
            received += len(heard)
            await asyncio.sleep(rng.uniform(0.05, 0.15))
    finally:
        with contextlib.suppress(OSError):  # it may be gone already
            writer.write_eof()
            await reader.read()  # the server has read it all and hung up, too
        writer.close()
    return received


async def client(port: int, rng: random.Random) -> None:
    """Hold one conversation after the other."""
    while True:
        received = await conversation(port, rng)
        print(f"{received} bytes came back")


async def main(options: Options) -> None:
    """Start the server and its clients."""
    rng = random.Random(options.seed)
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(client(port, rng), name=f"client-{number}")


if __name__ == "__main__":
    run(main, SAMPLE)
