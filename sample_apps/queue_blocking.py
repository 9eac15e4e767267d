"""A queue that is awaited: the consumers of `queue_polling`, with `await queue.get()`.

What you see: `consumer-0` and `consumer-1` wait on a queue, with some ten steps a second each, and the
loop is idle.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.queue_polling import consume, producer
from sample_apps.vocabulary import NoFinding, NoSlowCallback, StepRate, Utilization, Waiting

SAMPLE = Sample(
    name="queue_blocking",
    topic="communication",
    sentence="Two consumers wait for the items of a queue, and the loop rests meanwhile.",
    fix=None,
    expectations=(
        Waiting(kind="queue", task="consumer-*", at_least=2),
        StepRate(task="consumer-*", at_most=100),
        Utilization(at_most=0.1),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def consumer(queue: asyncio.Queue[int]) -> None:
    """Wait for each item."""
    while True:
        consume(await queue.get())


async def main(options: Options) -> None:
    """Start the producer and the consumers."""
    queue: asyncio.Queue[int] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        group.create_task(producer(queue, random.Random(options.seed)), name="producer")
        for number in range(2):
            group.create_task(consumer(queue), name=f"consumer-{number}")


if __name__ == "__main__":
    run(main, SAMPLE)
