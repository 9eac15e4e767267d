"""A consumer that goes on after an item that is not right: the producers never wait for long.

What you see: `producer-*` tasks that end, a `consumer` that counts what it could not read, and a queue that is
nearly empty.

This is the fix for `consumer_died`.
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, TaskEnded

SAMPLE = Sample(
    name="consumer_supervised",
    topic="communication",
    sentence="The consumer of a queue skips what it cannot read, and the producers go on.",
    fix=None,
    expectations=(TaskEnded(task="producer-*", outcome="done", times=4), NoFinding(), NoSlowCallback()),
)


async def consume(queue: asyncio.Queue[str]) -> None:
    """Add up what comes; count what is no number."""
    total = wrong = 0
    while True:
        item = await queue.get()
        try:
            total += int(item)
        except ValueError:
            wrong += 1


async def produce(queue: asyncio.Queue[str]) -> None:
    """Read items, of which one is not a number."""
    for number in range(50):
        await queue.put("n/a" if number == 3 else str(number))
        await asyncio.sleep(0.01)


async def main(_: Options) -> None:
    """Four producers and one consumer, again and again."""
    queue: asyncio.Queue[str] = asyncio.Queue(8)
    consumer = asyncio.create_task(consume(queue), name="consumer")
    try:
        while True:
            async with asyncio.TaskGroup() as group:
                for number in range(4):
                    group.create_task(produce(queue), name=f"producer-{number}")
    finally:
        consumer.cancel()


if __name__ == "__main__":
    run(main, SAMPLE)
