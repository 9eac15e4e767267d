"""A semaphore that limits concurrency: thirty downloads, four at a time.

What you see: `download-*` tasks, all created at once, of which four are in progress and the others wait for one
semaphore; whenever one is done, another begins.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, TaskEnded, Tasks, Waiting

SAMPLE = Sample(
    name="semaphore",
    topic="synchronization",
    sentence="Thirty downloads are started at once, and a semaphore lets four at a time through.",
    fix=None,
    expectations=(
        Waiting(kind="semaphore", task="download-*", at_least=15),
        Waiting(kind="sleep", task="download-*", at_least=3, at_most=8),
        AwaitStack(task="download-*", through=("downloads",)),
        Tasks(site="starts", at_least=20, at_most=30),
        TaskEnded(task="download-*", outcome="done", times=20),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def download(at_once: asyncio.Semaphore, rng: random.Random) -> None:
    """Wait for a slot, and download something."""
    async with at_once:
        await asyncio.sleep(rng.uniform(0.1, 0.3))  # expect: downloads


async def main(options: Options) -> None:
    """Run thirty downloads at a time, repeatedly."""
    rng = random.Random(options.seed)
    while True:
        at_once = asyncio.Semaphore(4)
        async with asyncio.TaskGroup() as group:
            for number in range(30):
                group.create_task(download(at_once, rng), name=f"download-{number}")  # expect: starts
            print("thirty downloads are started")
        print("thirty downloads are done")


if __name__ == "__main__":
    run(main, SAMPLE)
