"""A coroutine that cleans up and re-raises CancelledError: the corrected pollers of `swallowed_cancel`.

What you see: `poller-*` tasks that end as cancelled, one after another, and never more than one alive.
"""

import asyncio
import itertools

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, TaskEnded, Tasks

SAMPLE = Sample(
    name="swallowed_cancel_raised",
    topic="tasks",
    sentence="Tasks clean up when they are cancelled and re-raise, so that each ends at once.",
    fix=None,
    expectations=(
        TaskEnded(task="poller-*", outcome="cancelled", times=5),
        Tasks(site="starts", at_most=1),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def poller() -> None:
    """Query a slow service, and disconnect when cancelled."""
    while True:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            print("hanging up")
            raise


async def main(_: Options) -> None:
    """Start one poller after another, and cancel each."""
    for number in itertools.count():
        task = asyncio.create_task(poller(), name=f"poller-{number}")  # expect: starts
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.wait({task}, timeout=0.2)


if __name__ == "__main__":
    run(main, SAMPLE)
