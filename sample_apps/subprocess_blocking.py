"""A subprocess awaited with a blocking call: `subprocess.run` in a coroutine.

What you see: slow callbacks of `converter` at the line that runs the program, and a `heartbeat` that is late by as
long.

The fix: `asyncio.create_subprocess_exec`, and await its end (`subprocess_awaited`).
"""

import asyncio
import subprocess
import sys

from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import heartbeat
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, LoopLag, SlowCallback

SAMPLE = Sample(
    name="subprocess_blocking",
    topic="loops",
    sentence="A coroutine runs a program with subprocess.run, and all other tasks wait for it, too.",
    fix="subprocess_awaited",
    expectations=(
        SlowCallback(task="converter", line="runs", at_least=0.28, at_most=2.0, times=2),
        Finding("loop_blocked", line="runs"),
        LoopLag(at_least=0.2),
    ),
)
PROGRAM = (sys.executable, "-S", "-E", "-c", "import time; time.sleep(0.3)")


async def converter() -> None:
    """Run a converter program now and then."""
    while True:
        subprocess.run(PROGRAM, check=False)  # expect: runs
        print("converted")
        await asyncio.sleep(0.3)


async def main(_: Options) -> None:
    """Convert, while a heartbeat shows that nothing else runs."""
    async with asyncio.TaskGroup() as group:
        group.create_task(heartbeat(), name="heartbeat")
        group.create_task(converter(), name="converter")


if __name__ == "__main__":
    run(main, SAMPLE)
