"""An async generator: `async for` over pages that come one by one.

What you see: `reader` waits, and its await stack passes the `async for` and, inside the generator, the line that
waits for the next page.
"""

import asyncio
from collections.abc import AsyncIterator

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, StepRate, Tasks

SAMPLE = Sample(
    name="async_generator",
    topic="generators",
    sentence="A task reads page after page of an async generator, which waits for each.",
    fix=None,
    expectations=(
        AwaitStack(task="reader", through=("reads", "turns")),
        Tasks(at_most=2),
        StepRate(task="reader", at_most=10),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def pages(number: int) -> AsyncIterator[str]:
    """Pages, each of which has to be fetched."""
    for page in range(number):
        await asyncio.sleep(0.25)  # expect: turns
        yield f"page {page}"


async def reader() -> None:
    """Read book after book."""
    while True:
        async for page in pages(5):  # expect: reads
            print(page)


async def main(_: Options) -> None:
    """Read the generator to its end."""
    await asyncio.create_task(reader(), name="reader")


if __name__ == "__main__":
    run(main, SAMPLE)
