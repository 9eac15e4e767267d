"""A long computation in slices: the work of `long_callback`, in callbacks of 10 ms each.

What you see: no slow callback, a loop lag of about a slice, and a `heartbeat` that is on time. The loop
is as busy as before, but never blocked.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import burn, heartbeat
from sample_apps.entry import Options, run
from sample_apps.vocabulary import LoopLag, NoFinding, NoSlowCallback, Utilization

SAMPLE = Sample(
    name="long_callback_sliced",
    topic="slowness",
    sentence="A plain callback works in slices of 10 ms, and others run in between.",
    fix=None,
    expectations=(
        NoSlowCallback(over=0.25),
        Utilization(at_least=0.2, at_most=0.9),
        LoopLag(at_most=0.3),
        NoFinding(),
    ),
)
SLICE = 0.01


def rebuild_index(rng: random.Random, left: float) -> None:
    """Rebuild one slice; then the next one, or all of it again in half a second."""
    burn(SLICE)
    loop = asyncio.get_running_loop()
    if left > SLICE:
        loop.call_soon(rebuild_index, rng, left - SLICE)
    else:
        loop.call_later(0.5, rebuild_index, rng, rng.uniform(0.2, 0.4))


async def main(options: Options) -> None:
    """Rebuild the index forever, beside a heartbeat."""
    rng = random.Random(options.seed)
    asyncio.get_running_loop().call_soon(rebuild_index, rng, rng.uniform(0.2, 0.4))
    await asyncio.create_task(heartbeat(), name="heartbeat")


if __name__ == "__main__":
    run(main, SAMPLE)
