"""A busy loop: a task checks in a loop whether a job is done, with `sleep(0)` in between.

What you see: `waiter` with a hundred thousand steps a second or more, each of a microsecond, and never waiting; the
program uses a whole CPU core for that (most of it in the loop itself, which is why the utilization is not near 1).
There is no slow callback, because other tasks do get to run.

The fix: have the job notify the waiter, by a future (`busy_loop_future`) or an event.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, StepRate, Utilization

SAMPLE = Sample(
    name="busy_loop",
    topic="slowness",
    sentence="A task polls until a job is done, without ever waiting.",
    fix="busy_loop_future",
    expectations=(
        StepRate(task="waiter", at_least=1000),
        Utilization(at_least=0.1),
        NoSlowCallback(over=0.25),
        Finding("busy_loop", task="waiter"),
    ),
    watch=6.0,
)


class Job:
    """Something that is done after a while."""

    def __init__(self) -> None:
        self.result: int | None = None

    def finish(self, result: int) -> None:
        """Set the result that the poller looks for."""
        self.result = result


async def waiter(rng: random.Random) -> None:
    """Start one job after another, and check until it is done."""
    while True:
        job = Job()
        asyncio.get_running_loop().call_later(rng.uniform(0.5, 1.5), job.finish, rng.randrange(100))
        looks = 0
        while job.result is None:
            looks += 1
            await asyncio.sleep(0)
        print(f"the result is {job.result}, after {looks} looks")


async def main(options: Options) -> None:
    """Start the task that polls."""
    await asyncio.create_task(waiter(random.Random(options.seed)), name="waiter")


if __name__ == "__main__":
    run(main, SAMPLE)
