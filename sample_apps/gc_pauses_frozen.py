"""The heap of `gc_pauses`, frozen: the collector no longer looks at what was there when the program was ready.

What you see: no slow callback, though `cleaner` collects as often.
"""

import asyncio
import gc

from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import heartbeat
from sample_apps.entry import Options, run
from sample_apps.gc_pauses import build, cleaner
from sample_apps.vocabulary import NoSlowCallback

SAMPLE = Sample(
    name="gc_pauses_frozen",
    topic="slowness",
    sentence="A heap of three million objects is frozen before a task collects garbage twice a second.",
    fix=None,
    expectations=(NoSlowCallback(over=0.15),),
    watch=4.0,
)


async def main(_: Options) -> None:
    """Build the heap, freeze it, and start the tasks."""
    heap = await asyncio.to_thread(build)
    gc.freeze()
    async with asyncio.TaskGroup() as group:
        group.create_task(heartbeat(), name="heartbeat")
        group.create_task(cleaner(), name="cleaner")
    del heap


if __name__ == "__main__":
    run(main, SAMPLE)
