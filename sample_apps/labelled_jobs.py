"""A worker takes jobs of three kinds from a queue, runs each in a task of its own, and names it by its kind.

What you see: all jobs are tasks of `job()`, but the Groups screen has a row for each label: `import` is quick and
frequent, `report` waits for a fifth of a second, and one `mail` in four fails. Without labels it would be one row whose
median says nothing about any of them.
"""

from __future__ import annotations

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Group, NoSlowCallback

SAMPLE = Sample(
    name="labelled_jobs",
    topic="tasks",
    sentence="Jobs of three kinds are tasks of one coroutine, distinguished by their labels.",
    fix=None,
    expectations=(
        Group("import", coro="job", ended=20, at_most=0.1),
        Group("report", coro="job", ended=3, at_least=0.19, at_most=0.5),
        Group("mail", coro="job", ended=8, failed=1),
        NoSlowCallback(over=0.25),
    ),
    needs=("probes",),
)
KINDS = ("import",) * 6 + ("mail",) * 3 + ("report",)


async def job(kind: str, number: int) -> None:
    """Work of one kind under its label; every fourth mail fails."""
    import probes  # here, so that the catalogue works without it

    probes.label(kind)
    await asyncio.sleep(0.2 if kind == "report" else 0.01)
    if kind == "mail" and number % 4 == 0:
        raise ConnectionError("the mail server refuses")


async def main(options: Options) -> None:
    """Start a job every 20 ms, and look at how each ended."""
    rng = random.Random(options.seed)
    running: set[asyncio.Task[None]] = set()

    def over(task: asyncio.Task[None]) -> None:
        running.discard(task)
        if task.exception() is not None:
            print(f"{task.get_name()} failed")

    number = 0
    while True:
        kinds = rng.sample(KINDS, len(KINDS))
        for kind in kinds:
            number += 1
            task = asyncio.create_task(job(kind, number), name=f"job-{number}")
            running.add(task)
            task.add_done_callback(over)
            await asyncio.sleep(0.02)


if __name__ == "__main__":
    run(main, SAMPLE)
