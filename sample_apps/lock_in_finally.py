"""A lock that a cancelled task keeps: its `finally` waits, inside the lock, for a peer that does not answer.

What you see: `writer-*` tasks that wait for a lock of `exporter`, which was cancelled and is in its `finally`. The
finding names both, and the line at which the exporter waits.

The fix: bound what runs in `finally`, with a timeout (`lock_in_finally_bounded`).
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, Utilization, Waiting

SAMPLE = Sample(
    name="lock_in_finally",
    topic="synchronization",
    sentence="A task is cancelled while it has a lock, and waits in its finally forever.",
    fix="lock_in_finally_bounded",
    expectations=(
        Waiting(kind="lock", task="writer-*", at_least=3, holder="exporter"),
        Finding("lock_stuck", task="exporter", line="cleans"),
        Utilization(at_most=0.1),
        NoSlowCallback(),
    ),
    watch=42.0,
    seconds=60,
)


async def export(lock: asyncio.Lock, goodbye: asyncio.Event) -> None:
    """Write everything out, and say goodbye to the peer."""
    async with lock:
        try:
            await asyncio.sleep(10)
        finally:
            await goodbye.wait()  # expect: cleans


async def write(lock: asyncio.Lock) -> None:
    """Write while holding the lock."""
    async with lock:
        await asyncio.sleep(0.01)


async def main(_: Options) -> None:
    """An export that is cancelled, and others who write."""
    lock, goodbye = asyncio.Lock(), asyncio.Event()
    exporter = asyncio.create_task(export(lock, goodbye), name="exporter")
    await asyncio.sleep(0.2)
    exporter.cancel()
    writers = [asyncio.create_task(write(lock), name=f"writer-{number}") for number in range(3)]
    await asyncio.wait(writers)


if __name__ == "__main__":
    run(main, SAMPLE)
