"""A traceback that keeps frames alive: failed jobs are kept, and with them all their local variables.

What you see: `job-*` tasks that fail, and memory that grows by a megabyte or more a second, all of it allocated
at the line that loads a document. No list holds the documents: a failed task keeps its exception, the
exception its traceback, the traceback the frames, and these the local variables, including the document.

The fix: keep the details of the failure as text (`traceback_as_text`).
"""

import asyncio
import itertools
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import (
    Finding,
    MemoryGrowth,
    NoSlowCallback,
    NoUnhandled,
    TaskEnded,
    Utilization,
)

SAMPLE = Sample(
    name="traceback_keeps_frames",
    topic="memory",
    sentence="Failed tasks are kept for a report, and keep the documents they failed on.",
    fix="traceback_as_text",
    expectations=(
        MemoryGrowth(line="loads", at_least=500_000),
        TaskEnded(task="job-*", outcome="failed", exception="ValueError", times=20),
        Utilization(at_most=0.3),
        NoSlowCallback(),
        NoUnhandled(),
        Finding("memory_growing"),
    ),
    watch=19.0,  # memory must grow for 15 s
)
LIMIT = 2000  # a sample may be left running


def load(rng: random.Random) -> bytes:
    """A document of about 64 KiB."""
    return b"." * rng.randrange(60_000, 70_000)  # expect: loads


async def job(rng: random.Random) -> None:
    """Load a document and look at it, which fails. Raises ValueError."""
    document = load(rng)
    await asyncio.sleep(0.01)
    raise ValueError(f"it starts with {document[0]}, which is no letter")


async def main(options: Options) -> None:
    """Do about forty jobs a second, and keep those that failed, for the report."""
    rng = random.Random(options.seed)
    failed: list[asyncio.Task[None]] = []
    for number in itertools.count():
        task = asyncio.create_task(job(rng), name=f"job-{number}")
        await asyncio.gather(task, return_exceptions=True)
        if task.exception() and len(failed) < LIMIT:
            failed.append(task)
        if number % 40 == 0:
            print(f"{len(failed)} jobs have failed")
        await asyncio.sleep(rng.uniform(0.01, 0.02))


if __name__ == "__main__":
    run(main, SAMPLE)
