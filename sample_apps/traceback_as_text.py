"""Failures kept as text: the jobs of `traceback_keeps_frames`, of which only one line is kept.

What you see: as many `job-*` tasks that fail, and constant memory. (If the exception itself is needed, clear
the frames' variables with `traceback.clear_frames`, and the traceback with
`error.with_traceback(None)`.)
"""

import asyncio
import itertools
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.traceback_keeps_frames import LIMIT, job
from sample_apps.vocabulary import MemoryGrowth, NoFinding, NoSlowCallback, NoUnhandled, TaskEnded, Utilization

SAMPLE = Sample(
    name="traceback_as_text",
    topic="memory",
    sentence="A failed task leaves one line of text, and its document is freed.",
    fix=None,
    expectations=(
        MemoryGrowth(at_most=400_000),
        TaskEnded(task="job-*", outcome="failed", exception="ValueError", times=20),
        Utilization(at_most=0.3),
        NoSlowCallback(),
        NoUnhandled(),
        NoFinding(),
    ),
)


async def main(options: Options) -> None:
    """Do about forty jobs a second, and keep a line about each that failed, for the report."""
    rng = random.Random(options.seed)
    failed: list[str] = []
    for number in itertools.count():
        task = asyncio.create_task(job(rng), name=f"job-{number}")
        try:
            await task
        except ValueError as error:
            if len(failed) < LIMIT:
                failed.append(f"job {number}: {error}")
        if number % 40 == 0:
            print(f"{len(failed)} jobs have failed, the last: {failed[-1]}")
        await asyncio.sleep(rng.uniform(0.01, 0.02))


if __name__ == "__main__":
    run(main, SAMPLE)
