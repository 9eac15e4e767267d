"""A semaphore that is released too often: a task that gives up waiting releases what it never acquired.

What you see: `guest-*` tasks that fail with ValueError, "BoundedSemaphore released too many times", as soon as
the restaurant is empty enough; and in the hall with a plain semaphore, which does not check, more than three
`visitor-*` at work: soon there is no limit.

The fix: `async with`, which releases exactly once (`semaphore_bounded`).
"""

import asyncio
import itertools

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, TaskEnded, Waiting

SAMPLE = Sample(
    name="semaphore_released_too_often",
    topic="synchronization",
    sentence="Releases without an acquire: a bounded semaphore raises, and a plain one loses its limit.",
    fix="semaphore_bounded",
    expectations=(
        TaskEnded(task="guest-*", outcome="failed", exception="ValueError", times=2),
        Waiting(kind="sleep", task="visitor-*", at_least=5),
        Finding("semaphore_overreleased"),
        NoSlowCallback(),
    ),
    watch=4.0,
)


async def seat(places: asyncio.Semaphore, patience: float, stay: float) -> None:
    """Wait for a place for a while, and stay there."""
    try:
        await asyncio.wait_for(places.acquire(), patience)
        await asyncio.sleep(stay)
    except TimeoutError:
        pass
    finally:
        places.release()  # wrong: also when the patience was over, and nothing had been taken


async def guests(tables: asyncio.BoundedSemaphore) -> None:
    """Four guests at a time for three tables; then nobody, so that all tables are free."""
    for number in itertools.count():
        names = [f"guest-{number}-{i}" for i in range(4)]
        tasks = [asyncio.create_task(seat(tables, 0.1, 0.3), name=name) for name in names]
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        print("guests:", ", ".join(repr(end) for end in ends if end is not None) or "all is well")
        await asyncio.sleep(0.1)


async def visitors(hall: asyncio.Semaphore) -> None:
    """Ten visitors a second, for a hall that has room for three."""
    async with asyncio.TaskGroup() as group:
        for number in itertools.count():
            group.create_task(seat(hall, 0.1, 0.7), name=f"visitor-{number}")
            await asyncio.sleep(0.1)


async def main(_: Options) -> None:
    """Open the tables and the hall side by side."""
    async with asyncio.TaskGroup() as group:
        group.create_task(guests(asyncio.BoundedSemaphore(3)), name="tables")
        group.create_task(visitors(asyncio.Semaphore(3)), name="hall")


if __name__ == "__main__":
    run(main, SAMPLE)
