"""A pool of two connections: a report keeps one of them for half a second, and requests queue for the other.

What you see: `request-*` are late although nothing is busy. `looptop why --group request` says what they wait for: the
pool, at `Pool.acquire`, held by `report` at the line of its long query. `looptop groups --waits` has the sum.

The fix: give the connection back before the slow part that does not need it (`late_pool_brief`).
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import LateBecause, NoSlowCallback, TaskEnded

SAMPLE = Sample(
    name="late_pool",
    topic="synchronization",
    sentence="Requests wait for one of two connections, which reports keep for half a second at a time.",
    fix="late_pool_brief",
    expectations=(
        LateBecause(task="request-*", kind="pool", line="queues", at_least=0.5, holder="report-*"),
        TaskEnded(task="request-*", outcome="done", at_least=0.2, times=5),
        NoSlowCallback(),
    ),
    watch=4.0,
)


class Pool:
    """Connections that are handed out."""

    def __init__(self, size: int) -> None:
        self._free: asyncio.Queue[int] = asyncio.Queue()
        for number in range(size):
            self._free.put_nowait(number)

    async def acquire(self) -> int:
        """Wait for a connection."""
        return await self._free.get()  # expect: queues

    def release(self, connection: int) -> None:
        """Give a connection back."""
        self._free.put_nowait(connection)


async def report(pool: Pool) -> None:
    """Keep the connection while rendering, which takes long."""
    while True:
        connection = await pool.acquire()
        await asyncio.sleep(0.05)  # the query
        await asyncio.sleep(0.45)  # the rendering
        pool.release(connection)
        await asyncio.sleep(0.01)


async def request(pool: Pool) -> None:
    """Hold a connection for 5 ms."""
    connection = await pool.acquire()
    await asyncio.sleep(0.005)
    pool.release(connection)


async def main(options: Options) -> None:
    """Start two reports, and a request every now and then."""
    pool, rng, number = Pool(2), random.Random(options.seed), 0
    async with asyncio.TaskGroup() as group:
        for name in ("report-1", "report-2"):
            group.create_task(report(pool), name=name)
        while True:
            number += 1
            group.create_task(request(pool), name=f"request-{number}")
            await asyncio.sleep(rng.uniform(0.02, 0.06))


if __name__ == "__main__":
    run(main, SAMPLE)
