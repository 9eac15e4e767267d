"""An async generator that is abandoned halfway: its clean-up runs later, in a task created by the loop, or never.

What you see: tasks called `Task-*` that nothing in this source creates, whose coroutine is the `aclose` of a
generator: when a generator is collected, the loop closes it in a new task, and until then its connection
is open.

The fix: `contextlib.aclosing` (`generator_closed`).
"""

import asyncio
from collections.abc import AsyncIterator

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoSlowCallback, TaskEnded

SAMPLE = Sample(
    name="generator_abandoned",
    topic="generators",
    sentence="A reader breaks out of async generators, and the loop has to close them in new tasks.",
    fix="generator_closed",
    expectations=(
        TaskEnded(task="Task-*", outcome="done", at_least=0.01, times=3),
        NoSlowCallback(),
    ),
)
connections = 0


async def rows() -> AsyncIterator[int]:
    """Rows of a database, over a connection that has to be closed."""
    global connections
    connections += 1
    try:
        for row in range(100):
            await asyncio.sleep(0.05)
            yield row
    finally:
        await asyncio.sleep(0.02)  # to say goodbye
        connections -= 1


async def reader() -> None:
    """Look for a row, and read no further."""
    while True:
        async for row in rows():
            if row == 3:
                break  # wrong: the generator is left as it is
        print(f"row found, {connections} connections are open")
        await asyncio.sleep(0.1)


async def main(_: Options) -> None:
    """Read a few lines and abandon the generator."""
    await asyncio.create_task(reader(), name="reader")


if __name__ == "__main__":
    run(main, SAMPLE)
