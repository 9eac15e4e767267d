"""No timeout: the program waits forever for a server that sometimes does not answer.

What you see: more and more `ask-*` tasks, all created at one line, all waiting for the answer; the oldest as old as
the program. Nothing is slow.

The fix: `asyncio.wait_for` (`timeout_wait_for`) or `asyncio.timeout` (`timeout_block`).
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, Finding, NoSlowCallback, TaskEnded, TasksGrowing

SAMPLE = Sample(
    name="timeout_missing",
    topic="tasks",
    sentence="Every second question is never answered, and awaited without a timeout.",
    fix="timeout_wait_for",
    expectations=(
        TasksGrowing(site="starts", per_second=3),
        AwaitStack(task="ask-*", through=("waits",)),
        TaskEnded(task="ask-*", outcome="done", times=3),
        Finding("tasks_growing", line="starts"),
        NoSlowCallback(),
    ),
    watch=8.0,
)
LIMIT = 500  # a sample may be left running


async def answer(rng: random.Random) -> str:
    """A server's answer: at once, or never."""
    await asyncio.sleep(rng.choice((0.05, 1_000_000)))  # expect: waits
    return "yes"


async def main(options: Options) -> None:
    """Ask ten times a second."""
    rng = random.Random(options.seed)
    tasks: set[asyncio.Task[str]] = set()
    for number in range(LIMIT):
        task = asyncio.create_task(answer(rng), name=f"ask-{number}")  # expect: starts
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        await asyncio.sleep(0.1)
        if number % 10 == 0:
            print(f"{len(tasks)} questions are open")
    await asyncio.Event().wait()


if __name__ == "__main__":
    run(main, SAMPLE)
