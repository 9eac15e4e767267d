"""`asyncio.wait` for all, with a timeout: late tasks are not cancelled, only returned separately.

What you see: `bus-*` waits for its `rider-*` tasks for at most 0.4 s, and leaves; late riders live on, nothing
awaits them, and they are done later. (With gather or wait_for they would have been cancelled.)
"""

import asyncio
import itertools

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitedBy, AwaitStack, NoFinding, NoSlowCallback, NoTaskEnded, TaskEnded, Waiting

SAMPLE = Sample(
    name="wait_all_completed",
    topic="tasks",
    sentence="A bus waits for all of its riders, but at most 0.4 s; late riders take the next one.",
    fix=None,
    expectations=(
        Waiting(kind="gather", task="bus-*", at_least=1),
        AwaitStack(task="bus-*", through=("waits",)),
        AwaitedBy(task="rider-*", by="bus-*"),
        TaskEnded(task="bus-*", outcome="done", at_least=0.38, at_most=0.8, times=3),
        TaskEnded(task="rider-*", outcome="done", at_least=0.6, times=2),
        NoTaskEnded(task="rider-*", outcome="cancelled"),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def rider(minutes: float) -> None:
    """Walk to the stop."""
    await asyncio.sleep(minutes)


async def bus(riders: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Wait for all riders, for a limited time; returns those still on the way."""
    done, late = await asyncio.wait(riders, timeout=0.4, return_when=asyncio.ALL_COMPLETED)  # expect: waits
    print(f"{len(done)} riders on board, {len(late)} are late")
    return late


async def main(_: Options) -> None:
    """One bus after the other."""
    late: set[asyncio.Task[None]] = set()
    for number in itertools.count():
        riders = {asyncio.create_task(rider(0.1 + 0.2 * place), name=f"rider-{number}-{place}") for place in range(4)}
        late = await asyncio.create_task(bus(riders | late), name=f"bus-{number}")


if __name__ == "__main__":
    run(main, SAMPLE)
