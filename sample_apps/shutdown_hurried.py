"""A hurried shutdown: on SIGTERM all tasks are cancelled, but their clean-up is not awaited.

What you see: `worker-*` tasks that end as failed instead of cancelled: the ledger that their clean-up writes to
is already closed. The program sends itself SIGTERM once a second, and starts again.

The fix: cancel all, await all, and only then close what they use (`shutdown`).
"""

import asyncio
import os
import signal

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoSlowCallback, TaskEnded

SAMPLE = Sample(
    name="shutdown_hurried",
    topic="loops",
    sentence="On SIGTERM all tasks are cancelled, but not awaited: their clean-up fails.",
    fix="shutdown",
    expectations=(
        TaskEnded(task="worker-*", outcome="failed", exception="ClosedError", times=3),
        NoSlowCallback(),
    ),
)


class ClosedError(RuntimeError):
    """Somebody wrote to a ledger that is closed."""


class Ledger:
    """Where the workers write down what they did."""

    def __init__(self) -> None:
        self.closed = False

    async def write(self, line: str) -> None:
        """Write a line, which takes a moment."""
        await asyncio.sleep(0.02)
        if self.closed:
            raise ClosedError(line)


async def worker(number: int, ledger: Ledger) -> None:
    """Work until cancelled, and write down the last of it."""
    try:
        await asyncio.Event().wait()
    finally:
        await ledger.write(f"worker {number} leaves")


async def send_sigterm_soon() -> None:
    """What an init system does, or a person."""
    await asyncio.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def told_to_stop() -> asyncio.Event:
    """An event that SIGTERM sets."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    return stopping


async def serve() -> None:
    """Serve clients until SIGTERM arrives."""
    ledger = Ledger()
    workers = [asyncio.create_task(worker(number, ledger), name=f"worker-{number}") for number in range(3)]
    for task in workers:
        task.add_done_callback(lambda task: task.cancelled() or task.exception())  # so that asyncio says nothing
    try:
        await told_to_stop().wait()
    except asyncio.CancelledError:  # the end of the sample, rather than of the service
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        raise
    for task in workers:
        task.cancel()
    ledger.closed = True  # wrong: they are not done yet
    print("stopped, in a hurry")
    await asyncio.sleep(0.3)


async def main(_: Options) -> None:
    """Serve, be stopped, serve again."""
    while True:
        async with asyncio.TaskGroup() as group:
            group.create_task(send_sigterm_soon(), name="init")
            group.create_task(serve(), name="service")


if __name__ == "__main__":
    run(main, SAMPLE)
