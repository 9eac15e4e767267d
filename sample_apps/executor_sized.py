"""An executor that is large enough, behind a semaphore: excess work waits where it is visible.

What you see: about six `thumbnail-*` tasks at any time, all waiting for work that is running; each is done after
the 0.3 s that it takes. If more arrived than the eight threads can take, the producer would wait for a
semaphore.

This is the fix for `executor_small`.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.executor_small import shrink
from sample_apps.vocabulary import NoFinding, NoSlowCallback, TaskEnded, Tasks, Utilization, Waiting

SAMPLE = Sample(
    name="executor_sized",
    topic="loops",
    sentence="Twenty jobs a second run in an executor of eight threads, at most eight at a time.",
    fix=None,
    expectations=(
        Waiting(kind="executor", task="thumbnail-*", at_least=3, at_most=8),
        Tasks(site="submits", at_most=8),
        TaskEnded(task="thumbnail-*", outcome="done", at_most=1.5, times=20),
        Utilization(at_most=0.2),
        NoSlowCallback(),
        NoFinding(),
    ),
)
THREADS = 8


async def thumbnail(picture: int, pool: ThreadPoolExecutor, free: asyncio.Semaphore) -> None:
    """Create a thumbnail in the pool, then release the slot."""
    asked = time.monotonic()
    try:
        small = await asyncio.get_running_loop().run_in_executor(pool, shrink, picture)
    finally:
        free.release()
    if picture % 5 == 0:
        print(f"thumbnail {small} after {time.monotonic() - asked:.1f} s")


async def main(_: Options) -> None:
    """Accept up to twenty pictures a second, as long as there are free slots."""
    print("eight threads for twenty pictures a second")
    free = asyncio.Semaphore(THREADS)
    with ThreadPoolExecutor(THREADS, "shrink") as pool:
        async with asyncio.TaskGroup() as group:
            for picture in range(100_000):
                await free.acquire()
                group.create_task(thumbnail(picture, pool, free), name=f"thumbnail-{picture}")  # expect: submits
                await asyncio.sleep(0.05)


if __name__ == "__main__":
    run(main, SAMPLE)
