"""A pool that is leaked by an early return: after some requests no connection is left, and everybody waits.

What you see: `request-*` tasks, all waiting to get a connection from an empty pool, and no task that has one. The
finding says that those who took from it did not put back, and names the line that takes.

The fix: give back in any case, with `async with` (`pool_given_back`).
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, Utilization, Waiting

SAMPLE = Sample(
    name="pool_leaked",
    topic="synchronization",
    sentence="Requests that find nothing return without giving their connection back, until none is left.",
    fix="pool_given_back",
    expectations=(
        Waiting(kind="queue", task="request-*", at_least=3),
        Finding("queue_stuck", task="request-*", line="takes"),
        Utilization(at_most=0.1),
        NoSlowCallback(),
    ),
    watch=40.0,
    seconds=60,
)


class Pool:
    """A pool of a few connections."""

    def __init__(self, size: int) -> None:
        self.free: asyncio.Queue[int] = asyncio.Queue()
        for number in range(size):
            self.free.put_nowait(number)


async def request(pool: Pool, number: int) -> int | None:
    """Look a number up; an early return keeps the connection."""
    connection = await pool.free.get()  # expect: takes
    await asyncio.sleep(0.02)
    if number % 3 == 0:
        return None
    pool.free.put_nowait(connection)
    return connection


async def main(_: Options) -> None:
    """Requests, until there are enough that wait."""
    pool = Pool(4)
    requests = [asyncio.create_task(request(pool, number), name=f"request-{number}") for number in range(20)]
    await asyncio.wait(requests)


if __name__ == "__main__":
    run(main, SAMPLE)
