"""A bounded list: the requests of `list_grows`, of which only the last eight answers are kept.

What you see: memory grows for a moment and then stays constant. As much is allocated as before, at the same
line; what has been freed does not show. `collections.deque(maxlen=…)` drops the oldest automatically.
"""

import asyncio
import random
from collections import deque

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.list_grows import answer
from sample_apps.vocabulary import MemoryGrowth, NoFinding, NoSlowCallback, Utilization

SAMPLE = Sample(
    name="list_bounded",
    topic="memory",
    sentence="A deque keeps the last eight answers, and drops older ones.",
    fix=None,
    expectations=(
        MemoryGrowth(at_most=400_000),
        Utilization(at_most=0.3),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def requests(rng: random.Random) -> None:
    """Serve about forty requests a second, and keep the last answers."""
    served: deque[bytes] = deque((answer(rng) for _ in range(8)), maxlen=8)
    number = 0
    while True:
        served.append(answer(rng))
        if number % 40 == 0:
            print(f"{sum(map(len, served)) / 2**20:.1f} MiB are kept")
        number += 1
        await asyncio.sleep(rng.uniform(0.02, 0.03))


async def main(options: Options) -> None:
    """Serve requests for as long as it runs."""
    await asyncio.create_task(requests(random.Random(options.seed)), name="requests")


if __name__ == "__main__":
    run(main, SAMPLE)
