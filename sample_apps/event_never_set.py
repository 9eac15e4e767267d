"""An event that is never set, since the task that should set it failed: everybody waits for it forever.

What you see: `request-*` tasks, all waiting for the event `ready`, and more of them all the time; no task is busy. The
finding names `warm-up`, which failed, and the line: its exception is kept with the task, and nobody has asked for it.

The fix: set it in any case, or end the program when the start fails (`event_set_in_any_case`).
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, Utilization, Waiting

SAMPLE = Sample(
    name="event_never_set",
    topic="synchronization",
    sentence="Requests wait for an event that nobody sets, since the task that warms up the cache failed.",
    fix="event_set_in_any_case",
    expectations=(
        Waiting(kind="event", task="request-*", at_least=3),
        Finding("waiters_stuck", task="request-*", line="fails"),
        Finding("failed_unnoticed", task="warm-up", line="fails"),
        Utilization(at_most=0.1),
        NoSlowCallback(),
    ),
    watch=40.0,
    seconds=60,
)


class Service:
    """Answers when it is ready."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.cache: dict[str, int] = {}

    async def warm_up(self, source: dict[str, int]) -> None:
        """Fill the cache, then set the event."""
        await asyncio.sleep(0.2)
        self.cache["limit"] = source["limit"]  # expect: fails
        self.ready.set()

    async def answer(self) -> int:
        """Wait until the cache is filled."""
        await self.ready.wait()
        return self.cache["limit"]


async def main(_: Options) -> None:
    """A service that starts, and requests that come meanwhile."""
    service = Service()
    starting = asyncio.create_task(service.warm_up({}), name="warm-up")
    requests = [asyncio.create_task(service.answer(), name=f"request-{number}") for number in range(5)]
    while not starting.done() or any(not request.done() for request in requests):
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    run(main, SAMPLE)
