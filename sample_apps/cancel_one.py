"""Cancelling one task: the user closes the window, and its download ends; the others continue.

What you see: `download-*` tasks among the ended, one in three as cancelled, after it has cleaned up, by its window,
with the line that cancelled it. Cancelling one's own tasks is right, so there is no finding.
"""

import asyncio
import itertools

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, NoTaskEnded, TaskEnded

SAMPLE = Sample(
    name="cancel_one",
    topic="tasks",
    sentence="Of every three downloads one is cancelled, cleans up and ends; the others are done.",
    fix=None,
    expectations=(
        TaskEnded(task="download-*", outcome="cancelled", by="window-*", line="cancels", at_most=0.4, times=2),
        TaskEnded(task="download-*", outcome="done", times=4),
        NoTaskEnded(task="*", outcome="failed"),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def download(parts: list[str]) -> int:
    """Fetch five parts; remove them when it comes to nothing."""
    try:
        for number in range(5):
            await asyncio.sleep(0.1)
            parts.append(f"part {number}")
    except asyncio.CancelledError:
        parts.clear()
        raise  # who cancelled us is told that we have ended by it
    return len(parts)


async def window(number: int) -> None:
    """Start a download, and think better of every third."""
    parts: list[str] = []
    task = asyncio.create_task(download(parts), name=f"download-{number}")
    await asyncio.sleep(0.25)
    if number % 3 == 0:
        task.cancel("the window was closed")  # expect: cancels
    try:
        print(f"download {number} has {await task} parts")
    except asyncio.CancelledError:
        print(f"download {number} was cancelled, {len(parts)} parts are left")


async def main(_: Options) -> None:
    """Open a window every quarter of a second."""
    async with asyncio.TaskGroup() as group:
        for number in itertools.count():
            group.create_task(window(number), name=f"window-{number}")
            await asyncio.sleep(0.25)


if __name__ == "__main__":
    run(main, SAMPLE)
