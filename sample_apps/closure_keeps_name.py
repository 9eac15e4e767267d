"""A callback that keeps only a name: the uploads of `closure_keeps_request`, with timers that hold nothing else.

What you see: as many timers as before, and constant memory: `call_later(when, remind, request.name)` reads
the name now and keeps only that, while a lambda keeps the request to read the name later.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.closure_keeps_request import LIMIT, NEXT_WEEK, receive, remind
from sample_apps.entry import Options, run
from sample_apps.vocabulary import MemoryGrowth, NoFinding, NoSlowCallback, TaskEnded, Timers, Utilization

SAMPLE = Sample(
    name="closure_keeps_name",
    topic="memory",
    sentence="A timer for next week holds only the name it needs, and the upload is freed.",
    fix=None,
    expectations=(
        MemoryGrowth(at_most=400_000),
        Timers(at_least=20),
        TaskEnded(task="upload-*", outcome="done", times=20),
        Utilization(at_most=0.3),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def upload(number: int, rng: random.Random) -> None:
    """Handle an upload, and remind its owner next week."""
    request = receive(number, rng)
    asyncio.get_running_loop().call_later(NEXT_WEEK, remind, request.name)


async def main(options: Options) -> None:
    """Handle about twenty uploads a second."""
    rng = random.Random(options.seed)
    async with asyncio.TaskGroup() as uploads:
        for number in range(LIMIT):
            uploads.create_task(upload(number, rng), name=f"upload-{number}")
            if number % 20 == 0:
                print(f"{number + 1} uploads were handled")
            await asyncio.sleep(rng.uniform(0.04, 0.06))
        await asyncio.Event().wait()


if __name__ == "__main__":
    run(main, SAMPLE)
