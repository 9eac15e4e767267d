"""A pool that gets its connections back in any case: requests wait for a moment, and end.

What you see: `request-*` tasks, some waiting for a connection, and all of them ending.

This is the fix for `pool_leaked`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, TaskEnded

SAMPLE = Sample(
    name="pool_given_back",
    topic="synchronization",
    sentence="Requests give their connection back however they end.",
    fix=None,
    expectations=(TaskEnded(task="request-*", outcome="done", times=40), NoFinding(), NoSlowCallback()),
)


class Pool:
    """A pool of a few connections."""

    def __init__(self, size: int) -> None:
        self.free: asyncio.Queue[int] = asyncio.Queue()
        for number in range(size):
            self.free.put_nowait(number)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[int]:
        """A connection, for as long as the block runs."""
        connection = await self.free.get()
        try:
            yield connection
        finally:
            self.free.put_nowait(connection)


async def request(pool: Pool, number: int) -> int | None:
    """Look a number up and give the connection back."""
    async with pool.connection() as connection:
        await asyncio.sleep(0.02)
        return None if number % 3 == 0 else connection


async def main(_: Options) -> None:
    """Requests, and more of them."""
    pool = Pool(4)
    while True:
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(request(pool, number), name=f"request-{number}")
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    run(main, SAMPLE)
