"""Exceptions that are retrieved: the orders of `never_retrieved`, awaited by the task that started them.

What you see: the same `order-*` tasks fail, one in four, but there are no unhandled exceptions, and the
program itself reports what was wrong.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.never_retrieved import order, orders
from sample_apps.vocabulary import NoFinding, NoUnhandled, TaskEnded

SAMPLE = Sample(
    name="never_retrieved_awaited",
    topic="tasks",
    sentence="Tasks fail and are awaited by the task that started them, so each exception is handled.",
    fix=None,
    expectations=(
        TaskEnded(task="order-*", outcome="failed", exception="ValueError", times=3),
        TaskEnded(task="order-*", outcome="done", times=3),
        NoUnhandled(),
        NoFinding(),
    ),
)


async def main(options: Options) -> None:
    """Start some orders, and wait for their results."""
    rng = random.Random(options.seed)
    number = 0
    while True:
        tasks = []
        for pieces in orders(rng):
            tasks.append(asyncio.create_task(order(pieces), name=f"order-{number}"))
            number += 1
        for task, outcome in zip(tasks, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
            if isinstance(outcome, BaseException):
                print(f"{task.get_name()} was refused: {outcome}")
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    run(main, SAMPLE)
