"""A subprocess that is awaited: the loop is free until it has ended.

What you see: `converter` waits for a subprocess, by its pid, and nothing is slow.

This is the fix for `subprocess_blocking`.
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import heartbeat
from sample_apps.entry import Options, run
from sample_apps.subprocess_blocking import PROGRAM
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, Waiting

SAMPLE = Sample(
    name="subprocess_awaited",
    topic="loops",
    sentence="A coroutine starts a program and awaits its end, while other tasks run.",
    fix=None,
    expectations=(
        Waiting(kind="subprocess", task="converter", at_least=1),
        AwaitStack(task="converter", through=("waits",)),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def convert() -> int:
    """Run a program and wait for its end; it does not outlive us."""
    process = await asyncio.create_subprocess_exec(*PROGRAM, start_new_session=True)
    try:
        return await process.wait()  # expect: waits
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def converter() -> None:
    """Have a program convert something, now and then."""
    while True:
        print(f"converted, status {await convert()}")
        await asyncio.sleep(0.1)


async def main(_: Options) -> None:
    """Convert, and show that everything else goes on."""
    async with asyncio.TaskGroup() as group:
        group.create_task(heartbeat(), name="heartbeat")
        group.create_task(converter(), name="converter")


if __name__ == "__main__":
    run(main, SAMPLE)
