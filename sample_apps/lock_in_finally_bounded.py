"""A cancelled task that cleans up within a time: the lock is free again soon.

What you see: `writer-*` tasks that wait for the lock of `exporter` for a moment, and end.

This is the fix for `lock_in_finally`.
"""

import asyncio
import contextlib

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, TaskEnded

SAMPLE = Sample(
    name="lock_in_finally_bounded",
    topic="synchronization",
    sentence="A task that is cancelled while it has a lock cleans up, but not forever.",
    fix=None,
    expectations=(TaskEnded(task="writer-*", outcome="done", times=3), NoFinding("lock_stuck"), NoSlowCallback()),
)


async def export(lock: asyncio.Lock, goodbye: asyncio.Event) -> None:
    """Write everything out, and say goodbye to the peer."""
    async with lock:
        try:
            await asyncio.sleep(10)
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await goodbye.wait()


async def write(lock: asyncio.Lock) -> None:
    """Write while holding the lock."""
    async with lock:
        await asyncio.sleep(0.01)


async def main(_: Options) -> None:
    """An export that is cancelled, and others who write, again and again."""
    while True:
        lock, goodbye = asyncio.Lock(), asyncio.Event()
        exporter = asyncio.create_task(export(lock, goodbye), name="exporter")
        await asyncio.sleep(0.1)
        exporter.cancel()
        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(write(lock), name=f"writer-{number}")
        await asyncio.wait([exporter])


if __name__ == "__main__":
    run(main, SAMPLE)
