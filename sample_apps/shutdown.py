"""A shutdown on SIGTERM (or SIGINT): cancel all tasks, await all of them, then close what they use.

What you see: `worker-*` tasks that end as cancelled, each a moment after the request, and none that fails.

This is the fix for `shutdown_hurried`.
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.shutdown_hurried import Ledger, send_sigterm_soon, told_to_stop, worker
from sample_apps.vocabulary import Child, NoFinding, NoSlowCallback, NoTaskEnded, TaskEnded

SAMPLE = Sample(
    name="shutdown",
    topic="loops",
    sentence="On SIGTERM all tasks are cancelled and awaited, so that each can clean up.",
    fix=None,
    expectations=(
        TaskEnded(task="worker-*", outcome="cancelled", times=3),
        NoTaskEnded(task="*", outcome="failed"),
        Child(task="worker-*", parent="service"),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def serve() -> None:
    """Serve clients until SIGTERM arrives."""
    ledger = Ledger()
    workers = [asyncio.create_task(worker(number, ledger), name=f"worker-{number}") for number in range(3)]
    try:
        await told_to_stop().wait()
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        ledger.closed = True
    print("stopped, in good order")
    await asyncio.sleep(0.3)


async def main(_: Options) -> None:
    """Serve, be stopped, serve again."""
    while True:
        async with asyncio.TaskGroup() as group:
            group.create_task(send_sigterm_soon(), name="init")
            group.create_task(serve(), name="service")


if __name__ == "__main__":
    run(main, SAMPLE)
