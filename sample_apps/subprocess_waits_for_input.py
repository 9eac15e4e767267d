"""A subprocess that waits for input, while the program waits for its end: neither moves.

What you see: `sorter` waits for the exit of a subprocess; both are asleep. The subprocess reads its stdin to the end,
which does not come, since nobody closes it.

The fix: close what you write to when all is written, as `process.communicate()` does (`subprocess_streams`).
"""

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, Utilization, Waiting

SAMPLE = Sample(
    name="subprocess_waits_for_input",
    topic="communication",
    sentence="A task waits for a subprocess to end, which waits for the end of its input.",
    fix="subprocess_streams",
    expectations=(
        Waiting(kind="subprocess", task="sorter", at_least=1),
        Finding("subprocess_idle", task="sorter", line="waits"),
        Utilization(at_most=0.1),
        NoSlowCallback(over=0.5),
    ),
    watch=45.0,
    seconds=60,
)
PROGRAM = "import sys; print(sorted(sys.stdin.read()))"


async def sort(text: str) -> None:
    """Sort characters in another process."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", PROGRAM, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    try:
        process.stdin.write(text.encode())
        await process.wait()  # expect: waits
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def main(_: Options) -> None:
    """Sort one text in a task."""
    await asyncio.create_task(sort("looptop"), name="sorter")


if __name__ == "__main__":
    run(main, SAMPLE)
