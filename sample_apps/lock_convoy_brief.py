"""A lock held briefly: the tasks of `lock_convoy`, but the slow part comes before the lock.

What you see: hardly any task waits on the lock, the waiters sleep and step, and ten times as much is sold.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.lock_convoy import Stock, report, waiter
from sample_apps.vocabulary import NoFinding, NoSlowCallback, StepRate, Utilization, Waiting

SAMPLE = Sample(
    name="lock_convoy_brief",
    topic="synchronization",
    sentence="Nine tasks share a lock, each holds it only briefly, and none of them waits for long.",
    fix=None,
    expectations=(
        Waiting(kind="lock", task="waiter-*", at_most=2),
        StepRate(task="waiter-*", at_least=12),
        Utilization(at_most=0.2),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def holder(stock: Stock) -> None:
    """Do the slow part, and only then take the lock."""
    while True:
        await asyncio.sleep(0.7)  # a slow service
        async with stock.lock:
            stock.sold += 1


async def main(options: Options) -> None:
    """Start the same tasks as in `lock_convoy`."""
    stock, rng = Stock(), random.Random(options.seed)
    async with asyncio.TaskGroup() as group:
        group.create_task(holder(stock), name="holder")
        for number in range(8):
            group.create_task(waiter(stock, rng), name=f"waiter-{number}")
        group.create_task(report(stock), name="report")


if __name__ == "__main__":
    run(main, SAMPLE)
