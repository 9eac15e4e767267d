"""UDP: questions and answers as datagrams, some of which are lost without notice.

What you see: `asker-*` tasks that wait on a future inside a timeout; four of five questions are answered
within milliseconds, the others take another 0.2 s, because only the timeout reveals that something was lost.
The server is a `DatagramProtocol`: one socket for all, callbacks only. An answer that arrives twice or too late
is recognized by its number, and ignored.
"""

import asyncio
import itertools
import random
from typing import cast

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import (
    AwaitStack,
    NoFinding,
    NoSlowCallback,
    NoUnhandled,
    StepRate,
    Tasks,
    Utilization,
    Waiting,
)

SAMPLE = Sample(
    name="udp",
    topic="networks",
    sentence="Five tasks ask over UDP, and ask again when no answer comes.",
    fix=None,
    expectations=(
        Waiting(kind="future", task="asker-*", at_least=1),
        AwaitStack(task="asker-*", through=("asks", "waits")),
        StepRate(task="asker-*", at_least=2),
        Tasks(at_most=6),
        Utilization(at_most=0.2),
        NoSlowCallback(),
        NoUnhandled(),
        NoFinding(),
    ),
)


class Server(asyncio.DatagramProtocol):
    """Answers each datagram, but for one in five, which it loses."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to answer."""
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer where it came from, after a while, or lose it."""
        if self.rng.random() < 0.8:
            delay = self.rng.uniform(0.01, 0.05)
            asyncio.get_running_loop().call_later(delay, self.transport.sendto, data.upper(), addr)


class Client(asyncio.DatagramProtocol):
    """Numbers its questions, and waits for the answer of the same number."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, asyncio.Future[bytes]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to ask."""
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, _: tuple[str, int]) -> None:
        """Hand an answer to the one who waits for it, if anybody still does."""
        number, answer = data.split(b" ", 1)
        future = self.waiting.get(number)
        if future is not None and not future.done():
            future.set_result(answer)

    async def ask(self, number: int, question: bytes) -> bytes:
        """Ask, at most five times. Raises TimeoutError when there is no answer."""
        key = b"%d" % number
        for _ in range(5):
            future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            self.waiting[key] = future
            self.transport.sendto(key + b" " + question)
            try:
                async with asyncio.timeout(0.2):
                    return await future  # expect: waits
            except TimeoutError:
                print(f"question {number} or its answer was lost")
            finally:
                del self.waiting[key]
        raise TimeoutError(f"question {number} was asked five times, and not answered")


async def asker(client: Client, numbers: "itertools.count[int]", rng: random.Random) -> None:
    """Ask one question after the other."""
    while True:
        try:
            await client.ask(next(numbers), rng.choice((b"who?", b"where?", b"why?")))  # expect: asks
        except TimeoutError as error:
            print(error)
        await asyncio.sleep(rng.uniform(0.05, 0.1))


async def main(options: Options) -> None:
    """Start the server and those who ask."""
    rng = random.Random(options.seed)
    loop = asyncio.get_running_loop()
    server, _ = await loop.create_datagram_endpoint(lambda: Server(rng), ("127.0.0.1", 0))
    transport, client = await loop.create_datagram_endpoint(Client, remote_addr=server.get_extra_info("sockname"))
    numbers = itertools.count(1)
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(asker(client, numbers, rng), name=f"asker-{number}")
    finally:
        transport.close()
        server.close()


if __name__ == "__main__":
    run(main, SAMPLE)
