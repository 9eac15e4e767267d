"""A polled queue: the consumers call `get_nowait` in a loop, with `sleep(0)` in between.

What you see: `consumer-0` and `consumer-1` with very many steps, each of them short, and a high
utilization, all for twenty items a second. There is no slow callback: a busy loop shows in its steps,
not in delays.

The fix: wait for the item with `await queue.get()` (`queue_blocking`).
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, StepRate, Utilization

SAMPLE = Sample(
    name="queue_polling",
    topic="communication",
    sentence="Two consumers poll a queue without ever waiting, and waste the loop's time.",
    fix="queue_blocking",
    expectations=(
        StepRate(task="consumer-*", at_least=1000),
        Utilization(at_least=0.3),
        NoSlowCallback(over=0.25),
        Finding("busy_loop", task="consumer-*"),
    ),
    watch=6.0,
)


async def producer(queue: asyncio.Queue[int], rng: random.Random) -> None:
    """Put twenty items a second."""
    while True:
        await queue.put(rng.randrange(1000))
        await asyncio.sleep(0.05)


async def consumer(queue: asyncio.Queue[int]) -> None:
    """Poll the queue for items."""
    while True:
        try:
            item = queue.get_nowait()
        except asyncio.QueueEmpty:
            await asyncio.sleep(0)
        else:
            consume(item)


def consume(item: int) -> None:
    """Process one item of the queue."""
    if item % 20 == 0:
        print(f"item {item} is a find")


async def main(options: Options) -> None:
    """Start the producer and the consumers."""
    queue: asyncio.Queue[int] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        group.create_task(producer(queue, random.Random(options.seed)), name="producer")
        for number in range(2):
            group.create_task(consumer(queue), name=f"consumer-{number}")


if __name__ == "__main__":
    run(main, SAMPLE)
