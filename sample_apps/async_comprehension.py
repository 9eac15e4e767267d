"""Async comprehensions: a list from an async generator, and a list of awaits, each in a single line of a task.

What you see: `collector` waits in the comprehension, whose line is in the await stack together with that of the
generator; in sequence, because a comprehension awaits in order.
"""

import asyncio
from collections.abc import AsyncIterator

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, Tasks, Waiting

SAMPLE = Sample(
    name="async_comprehension",
    topic="generators",
    sentence="A task builds lists by comprehension: from an async generator, and from awaits.",
    fix=None,
    expectations=(
        AwaitStack(task="collector", through=("lists", "measures")),
        AwaitStack(task="collector", through=("awaits", "squares")),
        Waiting(kind="sleep", task="collector", at_least=1),
        Tasks(at_most=2),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def measures(number: int) -> AsyncIterator[int]:
    """What a sensor says, now and then."""
    for value in range(number):
        await asyncio.sleep(0.13)  # expect: measures
        yield value


async def square(value: int) -> int:
    """Return the square after a while, as a slow service would."""
    await asyncio.sleep(0.13)  # expect: squares
    return value * value


async def collector() -> None:
    """Collect the even ones, then their squares."""
    while True:
        even = [value async for value in measures(6) if value % 2 == 0]  # expect: lists
        squares = [await square(value) for value in range(6)]  # expect: awaits
        print(even, squares)


async def main(_: Options) -> None:
    """Collect squares in comprehensions."""
    await asyncio.create_task(collector(), name="collector")


if __name__ == "__main__":
    run(main, SAMPLE)
