"""A consumer that died: the queue fills up, and all producers wait to put into it forever.

What you see: `producer-*` tasks, all waiting in `put` on one full queue, and nobody who gets. The finding names the
`consumer`, which failed, and the line: its exception refers to the queue.

The fix: supervise the consumer, and go on after an item that is not right (`consumer_supervised`).
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, Utilization, Waiting

SAMPLE = Sample(
    name="consumer_died",
    topic="communication",
    sentence="The only consumer of a queue fails, and all producers wait to put into it.",
    fix="consumer_supervised",
    expectations=(
        Waiting(kind="queue", task="producer-*", at_least=3),
        Finding("queue_stuck", task="producer-*", line="fails"),
        Utilization(at_most=0.1),
        NoSlowCallback(),
    ),
    watch=40.0,
    seconds=60,
)


async def consume(queue: asyncio.Queue[str]) -> None:
    """Add up what comes."""
    total = 0
    while True:
        item = await queue.get()
        total += int(item)  # expect: fails


async def produce(queue: asyncio.Queue[str]) -> None:
    """Read items, of which one is not a number."""
    for number in range(1000):
        await queue.put("n/a" if number == 3 else str(number))
        await asyncio.sleep(0.01)


async def main(_: Options) -> None:
    """Four producers and one consumer."""
    queue: asyncio.Queue[str] = asyncio.Queue(8)
    consumer = asyncio.create_task(consume(queue), name="consumer")
    producers = [asyncio.create_task(produce(queue), name=f"producer-{number}") for number in range(4)]
    await asyncio.wait(producers)
    consumer.cancel()


if __name__ == "__main__":
    run(main, SAMPLE)
