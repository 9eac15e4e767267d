"""Awaiting in sequence what could run concurrently: each page is requested only when the one before has arrived.

What you see: `report-*` tasks that take half a second, and never more than one page requested at a time. Nothing
is slow and the loop is idle: the time is lost in the order of the awaits.

The fix: request all of them, then await all (`concurrent`).
"""

import asyncio
import itertools

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoSlowCallback, TaskEnded, Tasks, Utilization

SAMPLE = Sample(
    name="sequential",
    topic="tasks",
    sentence="A report asks for five pages one after another, and takes as long as all of them together.",
    fix="concurrent",
    expectations=(
        TaskEnded(task="report-*", outcome="done", at_least=0.5, times=3),
        Tasks(task="page-*", at_most=1),
        AwaitStack(task="report-*", through=("awaits",)),
        Utilization(at_most=0.1),
        NoSlowCallback(),
    ),
)
PAGES = 5


async def page(number: int) -> str:
    """Ask for a page: the answer takes 0.1 s."""
    await asyncio.sleep(0.1)
    return f"page {number}"


async def report() -> int:
    """Put the pages together."""
    length = 0
    for number in range(PAGES):
        length += len(await asyncio.create_task(page(number), name=f"page-{number}"))  # expect: awaits
    return length


async def main(_: Options) -> None:
    """Write one report after the other."""
    for number in itertools.count():
        length = await asyncio.create_task(report(), name=f"report-{number}")
        print(f"report {number} has {length} letters")


if __name__ == "__main__":
    run(main, SAMPLE)
