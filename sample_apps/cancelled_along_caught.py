"""A shared task that may be cancelled: tasks that await it distinguish that from their own cancellation, and continue.

What you see: `query-*` tasks that are cancelled by the janitor, and `report-*` tasks that are all done: the report
of a cancelled query says so.

This is the fix for `cancelled_along`.
"""

import asyncio
import itertools

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, NoTaskEnded, TaskEnded

SAMPLE = Sample(
    name="cancelled_along_caught",
    topic="tasks",
    sentence="A janitor cancels old queries, and the reports that await them say so and are done.",
    fix=None,
    expectations=(
        TaskEnded(task="query-*", outcome="cancelled", by="janitor", line="cancels", times=2),
        TaskEnded(task="report-*", outcome="done", times=5),
        NoTaskEnded(task="report-*", outcome="cancelled"),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def query(number: int) -> str:
    """Run a query; one in three is slow."""
    await asyncio.sleep(2.0 if number % 3 == 0 else 0.1)
    return f"answer {number}"


async def report(number: int, asked: asyncio.Task[str]) -> None:
    """Wait for the answer, and print it or that there is none."""
    try:
        print(f"report {number}: {await asked}")
    except asyncio.CancelledError:
        if not asked.cancelled():
            raise  # this task itself was cancelled
        print(f"report {number}: the query took too long")


async def janitor(queries: dict[asyncio.Task[str], float]) -> None:
    """Cancel queries that take longer than 0.3 s."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(0.1)
        for asked, begun in list(queries.items()):
            if asked.done():
                del queries[asked]
            elif loop.time() - begun > 0.3:
                asked.cancel()  # expect: cancels


async def main(_: Options) -> None:
    """A query and its report five times a second."""
    queries: dict[asyncio.Task[str], float] = {}
    reports: set[asyncio.Task[None]] = set()
    cleaner = asyncio.create_task(janitor(queries), name="janitor")
    for number in itertools.count():
        asked = asyncio.create_task(query(number), name=f"query-{number}")
        queries[asked] = asyncio.get_running_loop().time()
        made = asyncio.create_task(report(number, asked), name=f"report-{number}")
        reports.add(made)
        made.add_done_callback(reports.discard)
        await asyncio.sleep(0.2)
        assert not cleaner.done()


if __name__ == "__main__":
    run(main, SAMPLE)
