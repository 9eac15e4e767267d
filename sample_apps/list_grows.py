"""A list that grows: every answer ever sent is kept, for a report that nobody requests.

What you see: memory grows by two to three megabytes a second, and never shrinks; with tracing on (`looptop
memory`, or the Memory screen) nearly all of it comes from one line, which allocates the list's items.
Look there for what keeps them: the line that allocates is rarely the line that is wrong. Nothing is slow.

The fix: keep only what is needed, here the last eight (`list_bounded`).
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, MemoryGrowth, NoSlowCallback, Utilization

SAMPLE = Sample(
    name="list_grows",
    topic="memory",
    sentence="A list keeps every answer ever sent, a megabyte or more a second.",
    fix="list_bounded",
    expectations=(
        MemoryGrowth(line="serves", at_least=500_000),
        Utilization(at_most=0.3),
        NoSlowCallback(),
        Finding("memory_growing"),
    ),
    watch=19.0,  # memory must grow for 15 s
)
LIMIT = 2000  # a sample may be left running; a list has no limit


def answer(rng: random.Random) -> bytes:
    """An answer of about 64 KiB."""
    return b"." * rng.randrange(60_000, 70_000)  # expect: serves


async def requests(rng: random.Random) -> None:
    """Serve about forty requests a second, and keep each answer."""
    served: list[bytes] = []
    for number in range(LIMIT):
        served.append(answer(rng))
        if number % 40 == 0:
            print(f"{sum(map(len, served)) / 2**20:.1f} MiB are kept")
        await asyncio.sleep(rng.uniform(0.02, 0.03))
    await asyncio.Event().wait()


async def main(options: Options) -> None:
    """Serve requests for as long as it runs."""
    await asyncio.create_task(requests(random.Random(options.seed)), name="requests")


if __name__ == "__main__":
    run(main, SAMPLE)
