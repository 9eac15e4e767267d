"""A queue that only grows: more is put than is taken, and nothing stops the producer.

What you see: `producer` puts a hundred jobs a second and never waits on the queue; `consumer` does ten. Both
look healthy, the loop rests, and `closer`, which waits until all is done, shows the size of the queue: it only
grows. So does the memory, and so does the age of the job being processed.

The fix: a bounded queue (`queue_bounded`). The producer then has to wait, and its callers notice the
overload.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, Utilization, Waiting

SAMPLE = Sample(
    name="queue_growing",
    topic="communication",
    sentence="A producer puts a hundred jobs a second into a queue, a consumer takes ten of them.",
    fix="queue_bounded",
    expectations=(
        Waiting(kind="queue", task="closer", at_least=1),
        Waiting(kind="queue", task="producer", at_most=0),
        Utilization(at_most=0.2),
        NoSlowCallback(),
        Finding("queue_growing"),
    ),
    watch=8.0,
)
LIMIT = 100_000  # a sample may be left running; a queue has no limit unless told
Job = tuple[float, int]  # when it was put, and its number


async def producer(queue: asyncio.Queue[Job], rng: random.Random) -> None:
    """Put about a hundred jobs a second."""
    for number in range(LIMIT):
        await queue.put((asyncio.get_running_loop().time(), number))
        await asyncio.sleep(rng.uniform(0.005, 0.015))


async def consumer(queue: asyncio.Queue[Job]) -> None:
    """Do ten a second, and tell how old each tenth was."""
    while True:
        since, number = await queue.get()
        await asyncio.sleep(0.1)
        queue.task_done()
        if number % 10 == 0:
            age = asyncio.get_running_loop().time() - since
            print(f"job {number} was {age:.1f} s old, {queue.qsize()} are in the queue")


async def closer(queue: asyncio.Queue[Job]) -> None:
    """Wait until all that was put is done, then close."""
    await asyncio.sleep(0.05)  # the first job is in
    await queue.join()


async def main(options: Options) -> None:
    """Start both sides of a queue without a bound."""
    await both_sides(asyncio.Queue(), options)


async def both_sides(queue: asyncio.Queue[Job], options: Options) -> None:
    """Start the one who puts, the one who gets, and the one who waits for the end."""
    async with asyncio.TaskGroup() as group:
        group.create_task(producer(queue, random.Random(options.seed)), name="producer")
        group.create_task(consumer(queue), name="consumer")
        group.create_task(closer(queue), name="closer")


if __name__ == "__main__":
    run(main, SAMPLE)
