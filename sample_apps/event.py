"""An event: many tasks wait for one thing to happen, and all continue when it does.

What you see: ten `runner-*` tasks that wait for one event, the starting gun, and then run, all at once.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, TaskEnded, Waiting

SAMPLE = Sample(
    name="event",
    topic="synchronization",
    sentence="Ten runners wait for one event, and all run when it is set.",
    fix=None,
    expectations=(
        Waiting(kind="event", task="runner-*", at_least=10),
        Waiting(kind="sleep", task="runner-*", at_least=2),
        AwaitStack(task="runner-*", through=("waits",)),
        TaskEnded(task="runner-*", outcome="done", times=10),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def runner(gun: asyncio.Event, rng: random.Random) -> None:
    """Wait for the starting gun, then run."""
    await gun.wait()  # expect: waits
    await asyncio.sleep(rng.uniform(0.4, 0.8))


async def main(options: Options) -> None:
    """One race after another: a new event for each, because an event stays set."""
    rng = random.Random(options.seed)
    while True:
        gun = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number in range(10):
                group.create_task(runner(gun, rng), name=f"runner-{number}")
            print("on your marks")
            await asyncio.sleep(0.7)
            gun.set()
            print("go")


if __name__ == "__main__":
    run(main, SAMPLE)
