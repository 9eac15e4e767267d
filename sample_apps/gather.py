"""`asyncio.gather`: several awaitables at once, with their results in the order of the arguments.

What you see: `dinner` waits for a gather of three; its coroutines became child tasks of `dinner`, with the line of
the gather as their creation site.
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitedBy, NoFinding, NoSlowCallback, Tasks, Waiting

SAMPLE = Sample(
    name="gather",
    topic="tasks",
    sentence="Three dishes are cooked at once by gather, which returns them in order.",
    fix=None,
    expectations=(
        Waiting(kind="gather", task="dinner", at_least=1),
        Tasks(site="gathers", at_least=3, at_most=3),
        AwaitedBy(task="*", by="dinner"),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def cook(dish: str, seconds: float) -> str:
    """Cook a dish for some seconds."""
    await asyncio.sleep(seconds)
    return dish


async def dinner() -> None:
    """Cook all dishes at once and serve them."""
    while True:
        dishes = await asyncio.gather(cook("soup", 0.5), cook("stew", 0.6), cook("figs", 0.55))  # expect: gathers
        print("served:", ", ".join(dishes))


async def main(_: Options) -> None:
    """Have one dinner after the other."""
    await asyncio.create_task(dinner(), name="dinner")


if __name__ == "__main__":
    run(main, SAMPLE)
