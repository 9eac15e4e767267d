"""CPU-bound work in a process pool: the workers of `cpu_bound`, and the loop stays free.

What you see: the same three workers wait, each on an executor; no slow callback, a utilization near 0,
and a `heartbeat` that is on time.
"""

import asyncio
import multiprocessing
import random
import signal
from concurrent.futures import ProcessPoolExecutor

from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import burn, heartbeat
from sample_apps.entry import Options, run
from sample_apps.vocabulary import LoopLag, NoFinding, NoSlowCallback, Utilization, Waiting

SAMPLE = Sample(
    name="cpu_bound_pool",
    topic="slowness",
    sentence="Three tasks compute in other processes, and the loop stays free.",
    fix=None,
    expectations=(
        NoSlowCallback(),
        Waiting(kind="executor", task="worker-*", at_least=1),
        Utilization(at_most=0.3),
        LoopLag(at_most=0.3),
        NoFinding(),
    ),
)


async def worker(pool: ProcessPoolExecutor, rng: random.Random) -> None:
    """Compute in the pool, with short rests."""
    loop = asyncio.get_running_loop()
    while True:
        await loop.run_in_executor(pool, burn, rng.uniform(0.2, 0.4))
        await asyncio.sleep(0.1)


def warm(pool: ProcessPoolExecutor) -> None:
    """Start the processes and wait until they run."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # they inherit it: Ctrl+C is handled here
    for future in [pool.submit(burn, 0.05) for _ in range(2)]:
        future.result()


async def main(options: Options) -> None:
    """Start the pool, the workers and the heartbeat."""
    rng = random.Random(options.seed)
    pool = ProcessPoolExecutor(
        max_workers=2,
        mp_context=multiprocessing.get_context("spawn"),  # a forked child would inherit the running loop
    )
    try:
        await asyncio.to_thread(warm, pool)  # starting a process is slow and happens in the submitting thread
        async with asyncio.TaskGroup() as group:
            group.create_task(heartbeat(), name="heartbeat")
            for number in range(3):
                group.create_task(worker(pool, rng), name=f"worker-{number}")
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


if __name__ == "__main__":
    run(main, SAMPLE)
