"""A task that is collected while it is pending: nobody keeps it, and what it waits for is kept by it alone.

What you see: `audit-*` tasks that vanish without ending, and for each a "Task was destroyed but it is pending!"
among the unhandled, whenever the garbage collector comes by. The loop holds its tasks weakly.

The fix: keep a task for as long as it lives (`collected_kept`).
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
    sentence="Tasks wait for futures that nobody else knows, and are collected before they end.",
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
    await confirmed  # nobody else has it: this future and this task keep only each other alive


async def main(_: Options) -> None:
    """Start audits, and keep none."""
    for number in itertools.count():
        asyncio.create_task(audit(), name=f"audit-{number}")
        await asyncio.sleep(0.2)
        print(f"{gc.collect()} objects collected")  # sooner or later the collector would come by itself


if __name__ == "__main__":
    run(main, SAMPLE)
