"""A subprocess whose output is not read: it fills the pipe and stalls, and the program waits forever for its end.

What you see: more and more `convert-*` tasks, each waiting for the exit of a subprocess, and none that ends.
The subprocesses are not busy: they wait to write into a pipe that holds 64 KiB. Nothing is slow.

The fix: read the output while you wait (`subprocess_streams`, or `process.communicate()`).
"""

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, StepRate, TasksGrowing, Utilization, Waiting

SAMPLE = Sample(
    name="subprocess_unread",
    topic="communication",
    sentence="Tasks wait for subprocesses to end, which wait for their output to be read.",
    fix="subprocess_streams",
    expectations=(
        Waiting(kind="subprocess", task="convert-*", at_least=1),
        Finding("subprocess_stuck", task="convert-*", line="waits"),
        TasksGrowing(site="starts", per_second=0.8),
        StepRate(task="convert-*", at_most=20),
        Utilization(at_most=0.3),
        NoSlowCallback(over=0.5),
    ),
    watch=8.0,
)
PROGRAM = "import sys; print(sys.stdin.readline().upper() * 20_000)"
LIMIT = 16  # a sample may be left running; so many processes at once are enough


async def start(program: str) -> Process:
    """Start a Python that runs this program, with pipes, and shielded from Ctrl+C, on which it is stopped below."""
    arguments = (sys.executable, "-S", "-c", program)
    return await asyncio.create_subprocess_exec(*arguments, stdin=PIPE, stdout=PIPE, start_new_session=True)


async def end(process: Process) -> None:
    """Stop a process that has not ended, and close its pipes."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.communicate()  # and read what it left, else its pipes stay open


async def convert(document: str) -> None:
    """Convert a document: write it to a subprocess, wait for its end, and only then read."""
    process = await start(PROGRAM)
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(f"{document}\n".encode())
        await process.wait()  # expect: waits
        print(f"{document}: {len(await process.stdout.read())} bytes")  # this is never reached
    finally:
        await end(process)


async def main(_: Options) -> None:
    """Start a conversion every 0.6 s, and print how many are in progress."""
    async with asyncio.TaskGroup() as group:
        for number in range(LIMIT):
            group.create_task(convert(f"document-{number}"), name=f"convert-{number}")  # expect: starts
            print(f"{number + 1} conversions were started")
            await asyncio.sleep(0.6)


if __name__ == "__main__":
    run(main, SAMPLE)
