"""A timeout with `asyncio.wait_for`: a task gives up if there is no answer within 0.3 s.

What you see: `ask-*` tasks that are done or fail with TimeoutError, none older than the timeout, and no more than a
few at a time.

This is the fix for `timeout_missing`.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.timeout_missing import answer
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, NoUnhandled, TaskEnded, Tasks

SAMPLE = Sample(
    name="timeout_wait_for",
    topic="tasks",
    sentence="Every second question is never answered, and wait_for gives up after 0.3 s.",
    fix=None,
    expectations=(
        TaskEnded(task="ask-*", outcome="failed", exception="TimeoutError", at_least=0.28, at_most=1.0, times=3),
        TaskEnded(task="ask-*", outcome="done", times=3),
        Tasks(task="ask-*", at_least=1, at_most=8),
        AwaitStack(task="ask-*", through=("limits",)),
        NoUnhandled(),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def ask(rng: random.Random) -> str:
    """Ask, and give up after a while."""
    return await asyncio.wait_for(answer(rng), timeout=0.3)  # expect: limits


async def main(options: Options) -> None:
    """Ask ten times a second, and handle every answer."""
    rng = random.Random(options.seed)
    tasks: set[asyncio.Task[str]] = set()
    number = gone = 0
    try:
        while True:
            tasks.add(asyncio.create_task(ask(rng), name=f"ask-{number}"))
            number += 1
            done, _ = await asyncio.wait(tasks, timeout=0.1)
            gone += sum(isinstance(task.exception(), TimeoutError) for task in done)
            tasks -= done
            if number % 10 == 0:
                print(f"{gone} of {number} questions were not answered in time")
    finally:
        await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    run(main, SAMPLE)
