"""A long-running callback: a plain function, run by `call_later`, that computes for 0.2 to 0.4 s.

What you see: slow callbacks without a task, at the line that rebuilds. No task has notable busy time,
and yet `heartbeat` is late: a list of tasks alone would not show why.

The fix: split it into slices, with turns for the loop in between (`long_callback_sliced`), or use another
process.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import burn, heartbeat
from sample_apps.entry import Options, run
from sample_apps.vocabulary import LoopLag, SlowCallback

SAMPLE = Sample(
    name="long_callback",
    topic="slowness",
    sentence="A plain callback, without a task, blocks the loop for 0.2 to 0.4 s.",
    fix="long_callback_sliced",
    expectations=(
        SlowCallback(task=None, line="rebuilds", at_least=0.18, at_most=0.8, times=3),
        LoopLag(at_least=0.15),
    ),
)


def rebuild_index(rng: random.Random) -> None:
    """Rebuild everything at once, and again in half a second."""
    burn(rng.uniform(0.2, 0.4))  # expect: rebuilds
    asyncio.get_running_loop().call_later(0.5, rebuild_index, rng)


async def main(options: Options) -> None:
    """Rebuild the index forever, beside a heartbeat."""
    asyncio.get_running_loop().call_soon(rebuild_index, random.Random(options.seed))
    await asyncio.create_task(heartbeat(), name="heartbeat")


if __name__ == "__main__":
    run(main, SAMPLE)
