"""Chaining: coroutines that await each other in a single task, whose await stack is the chain.

What you see: `pipeline` waits, and its await stack passes the four lines of the chain, outermost first:
refine, parse, fetch, and the sleep at its end. `consumer` awaits another task, and its stack continues into that.
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitedBy, AwaitStack, NoFinding, NoSlowCallback, Tasks, Waiting

SAMPLE = Sample(
    name="chaining",
    topic="tasks",
    sentence="Coroutines that await each other, four deep: the await stack of one task.",
    fix=None,
    expectations=(
        AwaitStack(task="pipeline", through=("refines", "parses", "fetches")),
        AwaitStack(task="consumer", through=("consumes", "refines", "parses", "fetches")),
        AwaitedBy(task="pipeline", by="consumer"),
        Waiting(kind="task", task="consumer", at_least=1),
        Tasks(at_most=3),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def fetch() -> bytes:
    """Where the bytes come from."""
    await asyncio.sleep(0.4)  # expect: fetches
    return b"1 2 3 4"


async def parse() -> list[int]:
    """Numbers of the bytes."""
    return [int(word) for word in (await fetch()).split()]  # expect: parses


async def refine() -> int:
    """One number of the many."""
    return sum(await parse())  # expect: refines


async def consume() -> None:
    """Await the chain as a task of its own."""
    while True:
        pipeline = asyncio.create_task(refine(), name="pipeline")
        print(f"{await pipeline} has come down the line")  # expect: consumes


async def main(_: Options) -> None:
    """Consume the end of the chain."""
    await asyncio.create_task(consume(), name="consumer")


if __name__ == "__main__":
    run(main, SAMPLE)
