"""Waiting for a future: the jobs of `busy_loop`, but finishing a job resolves its future.

What you see: `waiter` waits on a future, with a step or two a second, and the loop is idle.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, StepRate, Utilization, Waiting

SAMPLE = Sample(
    name="busy_loop_future",
    topic="slowness",
    sentence="A task waits for the future of a job, and is woken once.",
    fix=None,
    expectations=(
        Waiting(kind="future", task="waiter", at_least=1),
        StepRate(task="waiter", at_most=50),
        Utilization(at_most=0.1),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def waiter(rng: random.Random) -> None:
    """Start one job after another, and await it."""
    loop = asyncio.get_running_loop()
    while True:
        job: asyncio.Future[int] = loop.create_future()
        loop.call_later(rng.uniform(0.5, 1.5), job.set_result, rng.randrange(100))
        print(f"the result is {await job}")


async def main(options: Options) -> None:
    """Start the task that waits."""
    await asyncio.create_task(waiter(random.Random(options.seed)), name="waiter")


if __name__ == "__main__":
    run(main, SAMPLE)
