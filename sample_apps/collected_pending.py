"""A task that is garbage-collected while pending: only the future it waits for references it, and vice versa.

What you see: `audit-*` tasks that vanish without ending, and for each a "Task was destroyed but it is pending!"
among the unhandled exceptions when the garbage collector runs. The loop holds its tasks weakly.

The fix: keep a reference to a task while it runs (`collected_kept`).
"""

import asyncio
import gc
import itertools

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, NoTaskEnded, Unhandled

SAMPLE = Sample(
    name="collected_pending",
    topic="tasks",
    sentence="Tasks wait for futures that nothing else references, and are collected before they end.",
    fix="collected_kept",
    expectations=(
        Unhandled(message="Task was destroyed but it is pending!", times=5),
        NoTaskEnded(task="audit-*", outcome="done"),
        Finding("collected_pending"),
        NoSlowCallback(over=0.3),
    ),
)


async def audit() -> None:
    """Wait for a confirmation."""
    confirmed = asyncio.get_running_loop().create_future()
    await confirmed  # nothing else references this future, so it and the task only keep each other alive


async def main(_: Options) -> None:
    """Start audits without keeping them."""
    for number in itertools.count():
        asyncio.create_task(audit(), name=f"audit-{number}")
        await asyncio.sleep(0.2)
        print(f"{gc.collect()} objects collected")  # sooner or later the collector would run anyway


if __name__ == "__main__":
    run(main, SAMPLE)
