"""The pool of `late_pool`: the reports give their connection back as soon as their query is over.

What you see: requests get a connection at once or after a few milliseconds, and none of them is late.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.late_pool import Pool, request
from sample_apps.vocabulary import NoSlowCallback, TaskEnded

SAMPLE = Sample(
    name="late_pool_brief",
    topic="synchronization",
    sentence="Reports keep one of two connections for their query only, and requests hardly wait.",
    fix=None,
    expectations=(
        TaskEnded(task="request-*", outcome="done", times=20, at_most=0.15),
        NoSlowCallback(),
    ),
    watch=4.0,
)


async def report(pool: Pool) -> None:
    """Keep the connection for the query only."""
    while True:
        connection = await pool.acquire()
        await asyncio.sleep(0.05)  # the query
        pool.release(connection)
        await asyncio.sleep(0.45)  # the rendering


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
