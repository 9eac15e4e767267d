"""Awaiting concurrently: all pages are requested first, and then all are awaited.

What you see: `report-*` tasks that take as long as one page, with five children at a time.

This is the fix for `sequential`.
"""

import asyncio
import itertools

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.sequential import PAGES, page
from sample_apps.vocabulary import Child, NoFinding, NoSlowCallback, TaskEnded, Tasks, Waiting

SAMPLE = Sample(
    name="concurrent",
    topic="tasks",
    sentence="A report requests five pages at once, and takes as long as the slowest of them.",
    fix=None,
    expectations=(
        TaskEnded(task="report-*", outcome="done", at_least=0.1, at_most=0.4, times=5),
        Tasks(site="asks", at_least=PAGES, at_most=PAGES),
        Child(task="page-*", parent="report-*"),
        Waiting(kind="gather", task="report-*", at_least=1),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def report() -> int:
    """Put the pages together."""
    async with asyncio.TaskGroup() as group:
        pages = [group.create_task(page(number), name=f"page-{number}") for number in range(PAGES)]  # expect: asks
    return sum(len(task.result()) for task in pages)


async def main(_: Options) -> None:
    """Write one report after another."""
    for number in itertools.count():
        length = await asyncio.create_task(report(), name=f"report-{number}")
        print(f"report {number} has {length} letters")


if __name__ == "__main__":
    run(main, SAMPLE)
