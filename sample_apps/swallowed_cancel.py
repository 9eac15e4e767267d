"""A coroutine that swallows CancelledError: it is cancelled, but continues silently.

What you see: `poller-*` tasks that are cancelled after 0.2 s and are still alive, more of them every
second; none appears among the ended. A shutdown that waits for them would wait forever.

The fix: clean up, and re-raise the CancelledError (`swallowed_cancel_raised`).
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, TasksGrowing

SAMPLE = Sample(
    name="swallowed_cancel",
    topic="tasks",
    sentence="Tasks catch their own cancellation and continue, so that none of them ever ends.",
    fix="swallowed_cancel_raised",
    expectations=(
        TasksGrowing(site="starts", per_second=1),
        Finding("cancel_swallowed", task="poller-*"),
        NoSlowCallback(),
    ),
)
LIMIT = 100  # pollers, if the sample is left running


async def poller(stopped: asyncio.Event) -> None:
    """Query a slow service, and ignore cancellation."""
    while not stopped.is_set():
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            continue  # wrong: the canceller does not learn that this continues


async def main(_: Options) -> None:
    """Start one poller after the other, and cancel each."""
    stopped = asyncio.Event()  # without it, even the end of the program would wait forever
    alive: set[asyncio.Task[None]] = set()
    try:
        while True:
            if len(alive) < LIMIT:
                task = asyncio.create_task(poller(stopped), name=f"poller-{len(alive)}")  # expect: starts
                alive.add(task)
                await asyncio.sleep(0.2)
                task.cancel()
            await asyncio.wait(alive, timeout=0.2)
            print(f"{len(alive)} cancelled, {sum(not task.done() for task in alive)} still running")
    finally:
        stopped.set()


if __name__ == "__main__":
    run(main, SAMPLE)
