"""Subprocesses over streams: three tasks each talk to a program, a line at a time, until it has ended.

What you see: `talk-*` tasks that wait on a subprocess, for a line of its output or for its exit, and end
soon; as many start as end. Each writes a line, reads the answer, and finally closes the program's input,
reads the rest of the output and waits for its exit, in this order.
"""

import asyncio
import itertools
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.subprocess_unread import end, start
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, NoUnhandled, TaskEnded, Utilization, Waiting

SAMPLE = Sample(
    name="subprocess_streams",
    topic="communication",
    sentence="Tasks talk to subprocesses over streams, read all their output, and then wait for them.",
    fix=None,
    expectations=(
        Waiting(kind="subprocess", task="talk-*", at_least=1),
        AwaitStack(task="talk-*", through=("hears",)),
        TaskEnded(task="talk-*", outcome="done", times=2),
        Utilization(at_most=0.3),
        NoSlowCallback(over=0.5),
        NoUnhandled(),
        NoFinding(),
    ),
)
PROGRAM = """
import sys, time
for line in sys.stdin:
    time.sleep(0.1)  # it thinks
    print(line.upper() * 500, flush=True)
"""


async def talk(rng: random.Random) -> int:
    """Say five lines to a program, and read each answer; returns the bytes that came."""
    process = await start(PROGRAM)
    assert process.stdin is not None and process.stdout is not None
    received = 0
    try:
        for _ in range(5):
            process.stdin.write(rng.choice((b"good morning\n", b"how do you do\n", b"fine weather today\n")))
            await process.stdin.drain()
            for _ in range(500):
                received += len(await process.stdout.readline())  # expect: hears
        process.stdin.close()
        received += len(await process.stdout.read())
        await process.wait()
    finally:
        await end(process)
    return received


async def main(options: Options) -> None:
    """Hold three conversations at a time, again and again."""
    rng = random.Random(options.seed)
    for round_ in itertools.count():
        async with asyncio.TaskGroup() as group:
            talks = [group.create_task(talk(rng), name=f"talk-{round_}-{number}") for number in range(3)]
        print(f"round {round_}: {', '.join(f'{task.result()} bytes' for task in talks)}")


if __name__ == "__main__":
    run(main, SAMPLE)
