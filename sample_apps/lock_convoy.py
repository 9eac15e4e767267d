"""A lock convoy: one slow holder keeps a lock over an await, and everybody queues behind it.

What you see: `holder` sleeps and has the lock; `waiter-0` to `waiter-7` all wait on that one lock.
Nothing is busy, the loop is idle, and still nobody gets anywhere: not twenty things are sold in
a second.

The fix: hold a lock for the update only, not for what comes before it (`lock_convoy_brief`).
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, StepRate, Utilization, Waiting

SAMPLE = Sample(
    name="lock_convoy",
    topic="synchronization",
    sentence="Eight tasks wait for a lock that one slow holder keeps while it sleeps.",
    fix="lock_convoy_brief",
    expectations=(
        Waiting(kind="lock", task="waiter-*", at_least=6, holder="holder"),
        StepRate(task="waiter-*", at_most=10),
        Finding("lock_convoy", task="holder"),
        Utilization(at_most=0.1),
        NoSlowCallback(),
    ),
    watch=5.0,
)


class Stock:
    """What all of them count, and the lock that guards it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.sold = 0


async def holder(stock: Stock) -> None:
    """Take the lock, and only then do what takes long."""
    while True:
        async with stock.lock:
            await asyncio.sleep(0.7)  # a slow answer from somewhere
            stock.sold += 1


async def waiter(stock: Stock, rng: random.Random) -> None:
    """Need the lock for a moment, now and then."""
    while True:
        async with stock.lock:
            stock.sold += 1
        await asyncio.sleep(rng.uniform(0.02, 0.06))


async def report(stock: Stock) -> None:
    """Tell once a second how far they got."""
    while True:
        before = stock.sold
        await asyncio.sleep(1)
        print(f"{stock.sold - before} sold in this second")


async def main(options: Options) -> None:
    """Start the one who holds and those who wait."""
    stock, rng = Stock(), random.Random(options.seed)
    async with asyncio.TaskGroup() as group:
        group.create_task(holder(stock), name="holder")
        for number in range(8):
            group.create_task(waiter(stock, rng), name=f"waiter-{number}")
        group.create_task(report(stock), name="report")


if __name__ == "__main__":
    run(main, SAMPLE)
