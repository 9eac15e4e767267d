"""A bounded semaphore: three tables, and never more than three guests at them.

What you see: up to nine `guest-*` tasks that wait for one semaphore and three that eat; nothing is released more
often than acquired, because `async with` releases exactly once.

This is the fix for `semaphore_released_too_often`.
"""

import asyncio
import itertools

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, NoTaskEnded, TaskEnded, Waiting

SAMPLE = Sample(
    name="semaphore_bounded",
    topic="synchronization",
    sentence="Twelve guests share three tables by a bounded semaphore, and each release matches an acquire.",
    fix=None,
    expectations=(
        Waiting(kind="semaphore", task="guest-*", at_least=6),
        Waiting(kind="sleep", task="guest-*", at_least=2, at_most=6),
        AwaitStack(task="guest-*", through=("eats",)),
        TaskEnded(task="guest-*", outcome="done", times=8),
        NoTaskEnded(task="guest-*", outcome="failed"),
        NoSlowCallback(),
        NoFinding(),
    ),
)
GUESTS = 12


async def guest(tables: asyncio.BoundedSemaphore) -> None:
    """Wait for a table, eat, and leave it."""
    async with tables:
        await asyncio.sleep(0.25)  # expect: eats


async def main(_: Options) -> None:
    """Keep the restaurant full."""
    tables = asyncio.BoundedSemaphore(3)
    names = (f"guest-{number}" for number in itertools.count())
    guests: set[asyncio.Task[None]] = set()
    while True:
        while len(guests) < GUESTS:
            guests.add(asyncio.create_task(guest(tables), name=next(names)))
        done, guests = await asyncio.wait(guests, return_when=asyncio.FIRST_COMPLETED)
        print(f"{len(done)} guests leave, {len(guests)} are in the house")


if __name__ == "__main__":
    run(main, SAMPLE)
