"""CPU-bound work in tasks: three workers compute, and nothing else on the loop gets to run.

What you see: `worker-0` to `worker-2` with nearly all the busy time between them, one slow callback after
another at the line that burns, a utilization close to 1, and a loop lag as long as the workers
compute. `heartbeat` tries to beat twice a second and prints how late it is.

The fix: compute in another process (`cpu_bound_pool`). A thread does not help: it needs the same GIL.
"""

import asyncio
import random
import time

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, LoopLag, SlowCallback, Utilization

SAMPLE = Sample(
    name="cpu_bound",
    topic="slowness",
    sentence="Three tasks compute for 0.2 to 0.4 s at a time and hold up everything else.",
    fix="cpu_bound_pool",
    expectations=(
        SlowCallback(task="worker-*", line="burns", at_least=0.18, at_most=0.8, times=5),
        Utilization(at_least=0.8),
        LoopLag(at_least=0.2),
        Finding("loop_blocked", task="worker-*", line="burns"),
    ),
)


def burn(seconds: float) -> int:
    """Compute for that long, in Python."""
    end = time.perf_counter() + seconds
    turns = 0
    while time.perf_counter() < end:
        turns += 1
    return turns


async def worker(rng: random.Random) -> None:
    """Compute, with short rests."""
    while True:
        burn(rng.uniform(0.2, 0.4))  # expect: burns
        await asyncio.sleep(0.1)


async def heartbeat() -> None:
    """Beat twice a second, and print how late each beat is."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + 0.5
        await asyncio.sleep(0.5)
        print(f"heartbeat: {loop.time() - due:.3f} s late")


async def main(options: Options) -> None:
    """Start the workers and the heartbeat."""
    rng = random.Random(options.seed)
    async with asyncio.TaskGroup() as group:
        group.create_task(heartbeat(), name="heartbeat")
        for number in range(3):
            group.create_task(worker(rng), name=f"worker-{number}")


if __name__ == "__main__":
    run(main, SAMPLE)
