"""A cancellation that spreads: a janitor cancels old queries, and the reports that await them are cancelled, too.

What happens: several tasks share a `query-*`. When the janitor cancels it, the CancelledError comes
out of `await query` in every `report-*`, which ends as cancelled although nobody cancelled it: no result, no
exception, no line in any log.

What you see: `report-*` tasks among the ended, as cancelled, and a finding that shows which query took them along,
what cancelled that, and at which line.

The fix: catch the cancellation of the shared task and handle it as a failed query (`cancelled_along_caught`).
"""

import asyncio
import itertools

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, NoTaskEnded, TaskEnded

SAMPLE = Sample(
    name="cancelled_along",
    topic="tasks",
    sentence="A janitor cancels old queries, and the reports that await them end as cancelled, too.",
    fix="cancelled_along_caught",
    expectations=(
        TaskEnded(task="query-*", outcome="cancelled", by="janitor", line="cancels", times=2),
        TaskEnded(task="report-*", outcome="cancelled", by="janitor", line="cancels", times=2),
        Finding("cancelled_by", task="report-*", line="cancels"),
        NoTaskEnded(task="*", outcome="failed"),
        NoSlowCallback(),
    ),
)


async def query(number: int) -> str:
    """Run a query; one in three is slow."""
    await asyncio.sleep(2.0 if number % 3 == 0 else 0.1)
    return f"answer {number}"


async def report(number: int, asked: asyncio.Task[str]) -> None:
    """Wait for the answer and print it."""
    print(f"report {number}: {await asked}")


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
