"""Tasks with an owner and an end: the audits of `task_leak`, in a TaskGroup, each with a timeout of 0.3 s.

What you see: `audit-*` tasks come and go; there are never more than about ten, and each appears among
the ended.
"""

import asyncio
import contextlib
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.task_leak import audit
from sample_apps.vocabulary import NoFinding, NoSlowCallback, TaskEnded, Tasks

SAMPLE = Sample(
    name="task_leak_bounded",
    topic="tasks",
    sentence="Every request starts a task that has an owner and gives up after 0.3 s.",
    fix=None,
    expectations=(
        TaskEnded(task="audit-*", outcome="done", times=20),
        Tasks(site="starts", at_least=1, at_most=20),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def bounded_audit(confirmed: asyncio.Event) -> None:
    """Wait for a confirmation, but not forever."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            await audit(confirmed)


async def requests(rng: random.Random) -> None:
    """Serve about twenty requests a second, and own the audit of each."""
    confirmed = asyncio.Event()  # nobody sets it
    number = 0
    async with asyncio.TaskGroup() as audits:
        while True:
            await asyncio.sleep(rng.uniform(0.03, 0.06))
            audits.create_task(bounded_audit(confirmed), name=f"audit-{number}")  # expect: starts
            if number % 20 == 0:
                print(f"{len(asyncio.all_tasks())} tasks")
            number += 1


async def main(options: Options) -> None:
    """Serve requests for as long as it runs."""
    await asyncio.create_task(requests(random.Random(options.seed)), name="requests")


if __name__ == "__main__":
    run(main, SAMPLE)
