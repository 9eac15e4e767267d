"""The restaurant when all goes well: the flames are in another thread, and nobody has to wait for them.

What you see: the tasks of `restaurant`, and no slow callback: doors open, glasses are filled and guests are
served while a dish is in flames, because `chef-1` runs the flames in a thread.
"""

import asyncio

from sample_apps import restaurant
from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import LoopLag, NoFinding, NoSlowCallback, NoUnhandled, TaskEnded, Utilization, Waiting

SAMPLE = Sample(
    name="restaurant_calm",
    topic="programs",
    sentence="One loop greets, serves, cooks and pours, all of it in short steps.",
    fix=None,
    expectations=(
        NoSlowCallback(),
        LoopLag(at_most=0.3),
        Utilization(at_most=0.2),
        Waiting(kind="semaphore", task="guest-*", at_least=2),
        Waiting(kind="queue", task="waiter-*", at_least=1),
        Waiting(kind="executor", task="chef-1", at_least=1),
        TaskEnded(task="guest-*", outcome="done"),
        NoUnhandled(),
        NoFinding(),
    ),
    watch=5.0,
)


async def in_a_thread() -> None:
    """Flambé in a thread, where nobody has to wait for it."""
    await asyncio.to_thread(restaurant.burn_off)


async def main(options: Options) -> None:
    """Open the restaurant and serve guests."""
    await restaurant.open_house(options, flambe=in_a_thread)


if __name__ == "__main__":
    run(main, SAMPLE)
