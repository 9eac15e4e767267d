"""Tasks that are kept while they run: a set references them, and drops each when it is done.

What you see: `audit-*` tasks that are done, and no unhandled exceptions.

This is the fix for `collected_pending`.
"""

import asyncio
import gc
import itertools

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, NoUnhandled, TaskEnded, Tasks

SAMPLE = Sample(
    name="collected_kept",
    topic="tasks",
    sentence="Tasks are kept in a set until they are done, and so are their futures.",
    fix=None,
    expectations=(
        TaskEnded(task="audit-*", outcome="done", times=5),
        Tasks(task="audit-*", at_least=1, at_most=5),
        NoUnhandled(),
        NoSlowCallback(over=0.3),
        NoFinding(),
    ),
)


async def audit(confirmed: asyncio.Future[None]) -> None:
    """Wait for a confirmation."""
    await confirmed


async def main(_: Options) -> None:
    """Start audits, keep them, and confirm each after a while."""
    loop = asyncio.get_running_loop()
    kept: set[asyncio.Task[None]] = set()
    for number in itertools.count():
        confirmed: asyncio.Future[None] = loop.create_future()
        loop.call_later(0.5, confirmed.set_result, None)
        task = asyncio.create_task(audit(confirmed), name=f"audit-{number}")
        kept.add(task)
        task.add_done_callback(kept.discard)
        await asyncio.sleep(0.2)
        gc.collect()
        print(f"{len(kept)} audits are under way")


if __name__ == "__main__":
    run(main, SAMPLE)
