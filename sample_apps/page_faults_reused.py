"""The buffer of `page_faults`, kept: its pages are cleared once, a band at a time, and used again from then on.

What you see: no slow callback, and a `heartbeat` that is on time. The memory stays with the process, which is the
price.
"""

import asyncio
import mmap

from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import heartbeat
from sample_apps.entry import Options, run
from sample_apps.page_faults import BAND, SIZE, fill
from sample_apps.vocabulary import NoSlowCallback

SAMPLE = Sample(
    name="page_faults_reused",
    topic="slowness",
    sentence="A task fills one buffer of 300 MB again and again, a band at a time.",
    fix=None,
    expectations=(NoSlowCallback(over=0.15),),
    watch=4.0,
)


async def resizer() -> None:
    """Fill the same buffer, again and again."""
    with mmap.mmap(-1, SIZE) as buffer:
        while True:
            for begin in range(0, SIZE, BAND):
                fill(buffer, begin, min(BAND, SIZE - begin))
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)


async def main(_: Options) -> None:
    """Start the resizer and the heartbeat."""
    async with asyncio.TaskGroup() as group:
        group.create_task(heartbeat(), name="heartbeat")
        group.create_task(resizer(), name="resizer")


if __name__ == "__main__":
    run(main, SAMPLE)
