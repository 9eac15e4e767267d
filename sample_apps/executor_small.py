"""A saturated executor: blocking work runs in threads, as it should, but two threads are too few.

What you see: more and more `thumbnail-*` tasks that wait for an executor, although only two have work that is
running: the others are in a queue that the loop does not know. Nothing blocks, nothing is busy, and every answer
takes longer than the one before.

The fix: an executor of the right size, and no more work at a time than it can take (`executor_sized`).
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, TasksGrowing, Utilization, Waiting

SAMPLE = Sample(
    name="executor_small",
    topic="loops",
    sentence="Twenty jobs a second are submitted to an executor whose two threads can do seven.",
    fix="executor_sized",
    expectations=(
        Waiting(kind="executor", task="thumbnail-*", at_least=10),
        TasksGrowing(site="submits", per_second=5),
        Finding("executor_saturated"),
        Utilization(at_most=0.2),
        NoSlowCallback(),
    ),
    watch=5.0,
)
LIMIT = 1000  # a sample may be left running


def shrink(picture: int) -> int:
    """Shrink a picture: a call that blocks for 0.3 s."""
    time.sleep(0.3)
    return picture // 10


async def thumbnail(picture: int, pool: ThreadPoolExecutor) -> None:
    """Create a thumbnail in the pool."""
    asked = time.monotonic()
    small = await asyncio.get_running_loop().run_in_executor(pool, shrink, picture)
    if picture % 5 == 0:
        print(f"thumbnail {small} after {time.monotonic() - asked:.1f} s")


async def main(_: Options) -> None:
    """Accept twenty pictures a second."""
    print("two threads for twenty pictures a second")
    pool = ThreadPoolExecutor(2, "shrink")
    tasks: set[asyncio.Task[None]] = set()
    try:
        for picture in range(LIMIT):
            task = asyncio.create_task(thumbnail(picture, pool), name=f"thumbnail-{picture}")  # expect: submits
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            await asyncio.sleep(0.05)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


if __name__ == "__main__":
    run(main, SAMPLE)
