"""A timeout with `asyncio.timeout`: a block of statements that together may take 0.3 s.

What you see: `visit-*` tasks that are done after 0.3 s at the latest, including those that were cut short: the
task itself handles the timeout and continues. Each has a timer.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, NoTaskEnded, TaskEnded, Timers

SAMPLE = Sample(
    name="timeout_block",
    topic="tasks",
    sentence="A block of three awaits is limited to 0.3 s by asyncio.timeout, and the rest is skipped.",
    fix=None,
    expectations=(
        TaskEnded(task="visit-*", outcome="done", at_least=0.28, at_most=0.6, times=3),
        NoTaskEnded(task="visit-*", outcome="cancelled"),
        NoTaskEnded(task="visit-*", outcome="failed"),
        AwaitStack(task="visit-*", through=("asks",)),
        Timers(at_least=2),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def visit(rng: random.Random) -> int:
    """Ask three servers in sequence until the time is up; returns how many answered."""
    answers = 0
    try:
        async with asyncio.timeout(0.3):
            for _ in range(3):
                await asyncio.sleep(rng.uniform(0.05, 0.25))  # expect: asks
                answers += 1
    except TimeoutError:
        pass
    return answers


async def main(options: Options) -> None:
    """Visit four at a time."""
    rng = random.Random(options.seed)
    number = 0
    while True:
        visits = [asyncio.create_task(visit(rng), name=f"visit-{number + i}") for i in range(4)]
        number += 4
        print(f"{sum(await asyncio.gather(*visits))} of 12 answered in time")


if __name__ == "__main__":
    run(main, SAMPLE)
