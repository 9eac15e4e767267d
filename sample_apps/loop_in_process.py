"""A loop in a child process: work that must not share the GIL gets its own process and loop.

What you see: `manager` waits for lines of a subprocess, and is idle. The tasks of the child are not shown: another
process is another program, with its own probe (`looptop ps` lists it).
"""

import asyncio
import sys

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, Loops, NoFinding, NoSlowCallback, NotSeenYet, Utilization, Waiting

SAMPLE = Sample(
    name="loop_in_process",
    topic="loops",
    sentence="A child process computes in its own loop, and the parent's loop rests.",
    fix=None,
    expectations=(
        Loops(at_least=1, at_most=1),
        Waiting(kind="subprocess", task="manager", at_least=1),
        AwaitStack(task="manager", through=("listens",)),
        Utilization(at_most=0.2),
        NotSeenYet(
            "the tasks worker-0 and worker-1 of the child, beside those of the parent",
            because="a probe sees one process: looptop attach CHILD opens a dashboard for the other",
        ),
        NoSlowCallback(),
        NoFinding(),
    ),
)
CHILD = """
import asyncio, itertools

async def worker(name):
    for number in itertools.count():
        total = sum(range(200_000))
        print(name, number, total, flush=True)
        await asyncio.sleep(0.1)

async def main():
    async with asyncio.TaskGroup() as group:
        for name in ("worker-0", "worker-1"):
            group.create_task(worker(name), name=name)

asyncio.run(main())
"""


async def manager() -> None:
    """Start the child, and listen to what it has computed."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    assert child.stdout is not None
    try:
        while line := await child.stdout.readline():  # expect: listens
            print(line.decode().strip())
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def main(_: Options) -> None:
    """Start the child process and talk to it."""
    await asyncio.create_task(manager(), name="manager")


if __name__ == "__main__":
    run(main, SAMPLE)
