"""An exception that is never retrieved: a task fails, and nothing awaits it.

What you see: `order-*` tasks that ended as failed, and for each a "Task exception was never retrieved"
among the unhandled exceptions, long after the fact and far from the code that started the task. The program
continues as if nothing had happened.

The fix: await the tasks you start (`never_retrieved_awaited`).
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, TaskEnded, Unhandled

SAMPLE = Sample(
    name="never_retrieved",
    topic="tasks",
    sentence="Tasks fail and their exceptions are never retrieved, so asyncio reports each.",
    fix="never_retrieved_awaited",
    expectations=(
        TaskEnded(task="order-*", outcome="failed", exception="ValueError", times=3),
        TaskEnded(task="order-*", outcome="done", times=3),
        Finding("never_retrieved", task="order-*"),
        Unhandled(message="Task exception was never retrieved", exception="ValueError", times=3),
    ),
)


async def order(pieces: int) -> int:
    """Take an order of so many pieces; none is an error."""
    await asyncio.sleep(0.05)
    if pieces == 0:
        raise ValueError("an order of nothing")
    return pieces


def orders(rng: random.Random) -> list[int]:
    """The pieces of four orders, one of which is bad."""
    return rng.sample([0, *(rng.randrange(1, 10) for _ in range(3))], k=4)


async def main(options: Options) -> None:
    """Start some orders, and forget them."""
    rng = random.Random(options.seed)
    number = 0
    while True:
        for pieces in orders(rng):
            asyncio.create_task(order(pieces), name=f"order-{number}")
            number += 1
        print(f"{number} orders taken")
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    run(main, SAMPLE)
