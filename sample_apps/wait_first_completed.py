"""`asyncio.wait` for the first of two sources: its result is handled while the other wait continues.

What you see: `listener` waits for two tasks, `mail` and `phone`; after each wait at least one of them is still
the same.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitedBy, AwaitStack, NoFinding, NoSlowCallback, TaskEnded, Waiting

SAMPLE = Sample(
    name="wait_first_completed",
    topic="tasks",
    sentence="A task waits for the first of two sources, handles its result, and waits again.",
    fix=None,
    expectations=(
        Waiting(kind="gather", task="listener", at_least=1),
        AwaitStack(task="listener", through=("waits",)),
        AwaitedBy(task="phone", by="listener"),
        TaskEnded(task="mail", outcome="done", times=3),
        TaskEnded(task="phone", outcome="done"),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def source(name: str, seconds: float) -> str:
    """Wait for a message."""
    await asyncio.sleep(seconds)
    return name


async def listener(rng: random.Random) -> None:
    """Listen to both sources."""
    pending: set[asyncio.Task[str]] = set()
    wanted = ["mail", "phone"]
    while True:
        for name in wanted:
            seconds = rng.uniform(0.1, 0.3) if name == "mail" else rng.uniform(0.6, 1.0)
            pending.add(asyncio.create_task(source(name, seconds), name=name))
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)  # expect: waits
        wanted = [task.result() for task in done]
        print("came:", ", ".join(wanted))


async def main(options: Options) -> None:
    """Start the listener and its senders."""
    await asyncio.create_task(listener(random.Random(options.seed)), name="listener")


if __name__ == "__main__":
    run(main, SAMPLE)
