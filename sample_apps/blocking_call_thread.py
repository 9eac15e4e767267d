"""Blocking calls in a thread: the calls of `blocking_call`, and the loop stays free.

What you see: `napper` and `client` wait, each on an executor; no slow callback, and `heartbeat` is on
time.
"""

import asyncio

from sample_apps.blocking_call import ask, nap, slow_server
from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import heartbeat
from sample_apps.entry import Options, run
from sample_apps.vocabulary import LoopLag, NoSlowCallback, Waiting

SAMPLE = Sample(
    name="blocking_call_thread",
    topic="slowness",
    sentence="Two coroutines leave their blocking calls to threads, and the loop stays free.",
    cure=None,
    expectations=(
        NoSlowCallback(),
        Waiting(kind="executor", task="napper", at_least=1),
        Waiting(kind="executor", task="client", at_least=1),
        LoopLag(at_most=0.1),
    ),
)


async def napper() -> None:
    """Nap now and then."""
    while True:
        await asyncio.to_thread(nap)
        await asyncio.sleep(0.1)


async def client(address: tuple[str, int]) -> None:
    """Ask now and then."""
    while True:
        await asyncio.to_thread(ask, address)
        await asyncio.sleep(0.1)


async def main(_: Options) -> None:
    """Start the server, and those who would block."""
    address = slow_server()
    async with asyncio.TaskGroup() as group:
        group.create_task(heartbeat(), name="heartbeat")
        group.create_task(napper(), name="napper")
        group.create_task(client(address), name="client")


if __name__ == "__main__":
    run(main, SAMPLE)
