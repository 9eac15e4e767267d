"""A condition: a buyer of three pieces waits until there are enough, under a lock that is released meanwhile.

What you see: six `buyer-*` tasks that wait for one condition; each delivery wakes them all, and those for which
there is not enough wait again.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, StepRate, Waiting

SAMPLE = Sample(
    name="condition",
    topic="synchronization",
    sentence="Six buyers wait for a condition, three pieces in stock, and a supplier notifies them.",
    fix=None,
    expectations=(
        Waiting(kind="condition", task="buyer-*", at_least=4),
        AwaitStack(task="buyer-*", through=("waits",)),
        StepRate(task="buyer-*", at_most=100),
        NoSlowCallback(),
        NoFinding(),
    ),
)


class Shelf:
    """So many pieces, and the condition that they have changed."""

    def __init__(self) -> None:
        self.pieces = 0
        self.changed = asyncio.Condition()


async def buyer(number: int, shelf: Shelf) -> None:
    """Buy three pieces at a time."""
    while True:
        async with shelf.changed:
            await shelf.changed.wait_for(lambda: shelf.pieces >= 3)  # expect: waits
            shelf.pieces -= 3
        print(f"buyer {number} has three pieces")
        await asyncio.sleep(0.1)


async def supplier(shelf: Shelf, rng: random.Random) -> None:
    """Deliver now and then, and tell everybody."""
    while True:
        await asyncio.sleep(rng.uniform(0.2, 0.3))
        async with shelf.changed:
            shelf.pieces += rng.randrange(1, 5)
            shelf.changed.notify_all()


async def main(options: Options) -> None:
    """Open the shop for producers and customers."""
    shelf = Shelf()
    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(buyer(number, shelf), name=f"buyer-{number}")
        group.create_task(supplier(shelf, random.Random(options.seed)), name="supplier")


if __name__ == "__main__":
    run(main, SAMPLE)
