"""`asyncio.wait` until the first exception: it waits for all tasks, but returns as soon as one fails.

What you see: `shift-*` tasks that end when the first `machine-*` fails, after 0.2 s rather than the second that
the others would take; those are cancelled by the shift.
"""

import asyncio
import itertools

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, NoUnhandled, TaskEnded, Waiting

SAMPLE = Sample(
    name="wait_first_exception",
    topic="tasks",
    sentence="A shift waits for three machines, and stops the others when the first one breaks.",
    fix=None,
    expectations=(
        TaskEnded(task="machine-*", outcome="failed", exception="RuntimeError", times=3),
        TaskEnded(task="machine-*", outcome="cancelled", at_most=0.6, times=6),
        TaskEnded(task="shift-*", outcome="done", at_least=0.2, at_most=0.6, times=3),
        Waiting(kind="gather", task="shift-*", at_least=1),
        AwaitStack(task="shift-*", through=("waits",)),
        NoUnhandled(),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def machine(number: int) -> None:
    """Run for a second; the middle one breaks before."""
    await asyncio.sleep(0.2 if number == 1 else 1.0)
    if number == 1:
        raise RuntimeError(f"machine {number} is broken")


async def shift() -> str:
    """Run the machines until one breaks; returns what broke."""
    machines = [asyncio.create_task(machine(number), name=f"machine-{number}") for number in range(3)]
    done, pending = await asyncio.wait(machines, return_when=asyncio.FIRST_EXCEPTION)  # expect: waits
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    return "; ".join(str(task.exception()) for task in done)


async def main(_: Options) -> None:
    """One shift after the other."""
    for number in itertools.count():
        print(await asyncio.create_task(shift(), name=f"shift-{number}"))
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    run(main, SAMPLE)
