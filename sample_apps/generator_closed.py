"""An async generator that its reader closes, at once and in the same task: `contextlib.aclosing`.

What you see: `reader`, now and then in the clean-up of the generator, and no task created by the loop.

This is the fix for `generator_abandoned`.
"""

import asyncio
from contextlib import aclosing

from sample_apps import generator_abandoned
from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, NoTaskEnded, Tasks

SAMPLE = Sample(
    name="generator_closed",
    topic="generators",
    sentence="A reader closes each async generator that it breaks out of, in its own task.",
    fix=None,
    expectations=(
        AwaitStack(task="reader", through=("reads",)),
        Tasks(at_most=2),
        NoTaskEnded(task="*"),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def reader() -> None:
    """Look for a row, and close what is not read."""
    while True:
        async with aclosing(generator_abandoned.rows()) as rows:  # type: ignore[type-var]
            async for row in rows:  # expect: reads
                if row == 3:
                    break
        print(f"row found, {generator_abandoned.connections} connections are open")
        await asyncio.sleep(0.1)


async def main(_: Options) -> None:
    """Read a few lines and close the generator."""
    await asyncio.create_task(reader(), name="reader")


if __name__ == "__main__":
    run(main, SAMPLE)
