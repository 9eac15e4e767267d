"""Cancelling many tasks: the first to find the answer ends the search of all others.

What you see: twenty `search-*` tasks at a time; of each round one is done and nineteen are cancelled, at the same
moment, all by one line. The finding shows the cost: nearly all work is started in vain. Whether that is
worthwhile, only the author can decide.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, NoUnhandled, TaskEnded, Tasks

SAMPLE = Sample(
    name="cancel_many",
    topic="tasks",
    sentence="Twenty tasks search; as soon as one succeeds, the other nineteen are cancelled.",
    fix=None,
    expectations=(
        Tasks(site="starts", at_least=20, at_most=20),
        TaskEnded(task="search-*", outcome="done", times=3),
        TaskEnded(task="search-*", outcome="cancelled", line="cancels", times=40),
        Finding("cancelled_by", task="search-*", line="cancels"),
        NoUnhandled(),
        NoSlowCallback(),
    ),
)
MANY = 20


async def search(place: int, rng: random.Random) -> int:
    """Search one place, for as long as it takes."""
    await asyncio.sleep(rng.uniform(0.2, 1.0))
    return place


async def first_found(rng: random.Random) -> int:
    """The first place with an answer. The other searches are cancelled and awaited."""
    tasks = [asyncio.create_task(search(place, rng), name=f"search-{place}") for place in range(MANY)]  # expect: starts
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()  # expect: cancels
        await asyncio.gather(*tasks, return_exceptions=True)


async def main(options: Options) -> None:
    """Search again and again."""
    rng = random.Random(options.seed)
    while True:
        print(f"found in place {await first_found(rng)}")


if __name__ == "__main__":
    run(main, SAMPLE)
