"""A task leak: each request starts an audit that nothing keeps, awaits or ends.

What you see: more and more `audit-*` tasks, all created at one line, all waiting, none ever ending. Nothing
is slow; memory grows.

The fix: an owner that awaits them, and a timeout (`task_leak_bounded`).
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, TasksGrowing, Utilization

SAMPLE = Sample(
    name="task_leak",
    topic="tasks",
    sentence="Every request starts a task that waits forever, twenty a second.",
    fix="task_leak_bounded",
    expectations=(
        TasksGrowing(site="starts", per_second=10),
        Finding("tasks_growing", line="starts"),
        Utilization(at_most=0.2),
        NoSlowCallback(),
    ),
    watch=7.0,
)
LIMIT = 1000  # a sample may be left running; a leak has no limit


async def audit(confirmed: asyncio.Event) -> None:
    """Wait forever for a confirmation."""
    await confirmed.wait()


async def requests(rng: random.Random) -> None:
    """Serve about twenty requests a second, and start an audit of each."""
    confirmed = asyncio.Event()  # nobody sets it
    for number in range(LIMIT):
        await asyncio.sleep(rng.uniform(0.03, 0.06))
        asyncio.create_task(audit(confirmed), name=f"audit-{number}")  # expect: starts
        if number % 20 == 0:
            print(f"{len(asyncio.all_tasks())} tasks")
    await confirmed.wait()


async def main(options: Options) -> None:
    """Serve requests for as long as it runs."""
    await asyncio.create_task(requests(random.Random(options.seed)), name="requests")


if __name__ == "__main__":
    run(main, SAMPLE)
