"""A full garbage collection of a big heap: it looks at every object, and nothing else runs meanwhile.

What you see: `cleaner` blocks the loop at `gc.collect()`, and the reason is garbage collection. Collections that Python
starts by itself are found the same way, at whichever line makes the object too many. (How long they take is known while
somebody traces the steps, as `looptop why` and `looptop trace` do.)

The fix: `gc.freeze()` once the heap is built, so that collections leave it alone (`gc_pauses_frozen`).
"""

import asyncio
import gc

from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import heartbeat
from sample_apps.entry import Options, run
from sample_apps.vocabulary import SlowBecause, SlowCallback

SAMPLE = Sample(
    name="gc_pauses",
    topic="slowness",
    sentence="A task collects garbage twice a second, in a heap of three million objects.",
    fix="gc_pauses_frozen",
    expectations=(
        SlowCallback(task="cleaner", line="collects", at_least=0.1),
        SlowBecause(line="collects", reason="gc", at_least=0.6),
    ),
    watch=4.0,
)
SIZE = 3_000_000


def build() -> list[list[object]]:
    """A heap of many objects that the collector has to look at."""
    gc.disable()
    heap: list[list[object]] = [[] for _ in range(SIZE)]
    gc.enable()
    return heap


async def cleaner() -> None:
    """Collect, again and again."""
    while True:
        await asyncio.sleep(0.5)
        gc.collect()  # expect: collects


async def main(_: Options) -> None:
    """Build the heap and start the tasks."""
    heap = await asyncio.to_thread(build)
    async with asyncio.TaskGroup() as group:
        group.create_task(heartbeat(), name="heartbeat")
        group.create_task(cleaner(), name="cleaner")
    del heap


if __name__ == "__main__":
    run(main, SAMPLE)
