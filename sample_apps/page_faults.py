"""Memory that is touched for the first time: the kernel has to clear each page of it.

What you see: `resizer` blocks the loop although its code does next to nothing: it writes one byte into each page of a
fresh buffer of 300 MB, and much of the time goes into page faults. The reasons of the slow callback say so, and how
many there were; a profiler shows the line and no more.

The fix: keep the buffer and use it again (`page_faults_reused`).
"""

import asyncio
import mmap

from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import heartbeat
from sample_apps.entry import Options, run
from sample_apps.vocabulary import SlowBecause, SlowCallback

SAMPLE = Sample(
    name="page_faults",
    topic="slowness",
    sentence="A task writes into 300 MB of fresh memory, and waits for the kernel to clear every page.",
    fix="page_faults_reused",
    expectations=(
        SlowCallback(task="resizer", line="touches", at_least=0.1),
        SlowBecause(line="touches", reason="faults", at_least=0.1),
    ),
    watch=4.0,
)
SIZE = 300 << 20
BAND = 16 << 20


def fill(buffer: mmap.mmap, begin: int, size: int) -> None:
    """Write one byte into each page of a part of the buffer."""
    for place in range(begin, begin + size, mmap.PAGESIZE):
        buffer[place] = 1  # expect: touches


async def resizer() -> None:
    """Fill a fresh buffer, again and again."""
    while True:
        with mmap.mmap(-1, SIZE) as buffer:
            fill(buffer, 0, SIZE)
        await asyncio.sleep(0.5)


async def main(_: Options) -> None:
    """Start the resizer and the heartbeat."""
    async with asyncio.TaskGroup() as group:
        group.create_task(heartbeat(), name="heartbeat")
        group.create_task(resizer(), name="resizer")


if __name__ == "__main__":
    run(main, SAMPLE)
