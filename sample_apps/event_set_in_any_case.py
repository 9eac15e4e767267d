"""A start that fails and says so: those who wait for it are woken, and get the failure.

What you see: `request-*` tasks that wait for a moment and end, though `warm-up` could not fill the cache.

This is the fix for `event_never_set`.
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, TaskEnded, Utilization

SAMPLE = Sample(
    name="event_set_in_any_case",
    topic="synchronization",
    sentence="Requests wait for a start that may fail, and are told when it did.",
    fix=None,
    expectations=(
        TaskEnded(task="request-*", outcome="done", times=5),
        NoFinding(),
        Utilization(at_most=0.1),
        NoSlowCallback(),
    ),
)


class Service:
    """Answers when it is ready, or says why it is not."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.problem = ""

    async def warm_up(self, source: dict[str, int]) -> None:
        """Fill the cache, and set the event in any case."""
        try:
            await asyncio.sleep(0.2)
            print("the limit is", source["limit"])
        except KeyError as error:
            self.problem = f"no {error} in the source"
        finally:
            self.ready.set()

    async def answer(self) -> str:
        """Wait until it is known whether there is a cache."""
        await self.ready.wait()
        return self.problem


async def main(_: Options) -> None:
    """A service that starts, and requests that come meanwhile, again and again."""
    while True:
        service = Service()
        async with asyncio.TaskGroup() as group:
            group.create_task(service.warm_up({}), name="warm-up")
            for number in range(5):
                group.create_task(service.answer(), name=f"request-{number}")
        await asyncio.sleep(0.3)


if __name__ == "__main__":
    run(main, SAMPLE)
