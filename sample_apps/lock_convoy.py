"""A lock convoy: a slow task holds a lock across an await, and all others queue behind it.

What you see: `holder` sleeps and holds the lock; `waiter-0` to `waiter-7` all wait on that one lock.
Nothing is busy, the loop is idle, and still there is little progress: fewer than twenty sales a
second.

The fix: hold a lock for the update only, not for the slow part before it (`lock_convoy_brief`).
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, LateBecause, NoSlowCallback, StepRate, Utilization, Waiting

SAMPLE = Sample(
    name="lock_convoy",
    topic="synchronization",
    sentence="Eight tasks wait for a lock that a slow task holds while it sleeps.",
    fix="lock_convoy_brief",
    expectations=(
        Waiting(kind="lock", task="waiter-*", at_least=6, holder="holder"),
        StepRate(task="waiter-*", at_most=10),
        LateBecause(task="waiter-*", kind="lock", line="queues", at_least=0.6, holder="holder"),
        Finding("lock_convoy", task="holder"),
        Utilization(at_most=0.1),
        NoSlowCallback(),
    ),
    watch=5.0,
)


class Stock:
    """The shared stock, and the lock that guards it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.sold = 0


async def holder(stock: Stock) -> None:
    """Take the lock, and only then do the slow part."""
    while True:
        async with stock.lock:
            await asyncio.sleep(0.7)  # a slow service
            stock.sold += 1


async def waiter(stock: Stock, rng: random.Random) -> None:
    """Take the lock briefly, now and then."""
    while True:
        async with stock.lock:  # expect: queues
            stock.sold += 1
        await asyncio.sleep(rng.uniform(0.02, 0.06))


async def report(stock: Stock) -> None:
    """Print the progress once a second."""
    while True:
        before = stock.sold
        await asyncio.sleep(1)
        print(f"{stock.sold - before} sold in this second")


async def main(options: Options) -> None:
    """Start the holder and the waiters."""
    stock, rng = Stock(), random.Random(options.seed)
    async with asyncio.TaskGroup() as group:
        group.create_task(holder(stock), name="holder")
        for number in range(8):
            group.create_task(waiter(stock, rng), name=f"waiter-{number}")
        group.create_task(report(stock), name="report")


if __name__ == "__main__":
    run(main, SAMPLE)
