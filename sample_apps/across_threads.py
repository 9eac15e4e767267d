"""Scheduling onto another thread's loop, the right way: `run_coroutine_threadsafe` wakes it.

What you see: `order-*` tasks that are done as soon as they are created.

This is the fix for `across_threads_unsafe`.
"""

import asyncio
import threading

from sample_apps.across_threads_unsafe import order
from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, TaskEnded

SAMPLE = Sample(
    name="across_threads",
    topic="loops",
    sentence="A thread creates tasks on another thread's loop with run_coroutine_threadsafe, which wakes it.",
    fix=None,
    expectations=(
        TaskEnded(task="order-*", outcome="done", at_most=0.1, times=4),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def named(number: int) -> None:
    """Take an order, under a name."""
    task = asyncio.current_task()
    assert task is not None
    task.set_name(f"order-{number}")
    await order(number)


def phone(loop: asyncio.AbstractEventLoop, stopped: threading.Event) -> None:
    """Take orders, in a thread of its own, and pass them on; wait for each."""
    for number in range(1_000_000):
        if stopped.wait(0.33):
            return
        asyncio.run_coroutine_threadsafe(named(number), loop)


async def main(_: Options) -> None:
    """Look up twice a second; the loop sleeps in between, unless it is woken."""
    stopped = threading.Event()
    threading.Thread(target=phone, args=(asyncio.get_running_loop(), stopped), name="phone", daemon=True).start()
    try:
        while True:
            await asyncio.sleep(0.5)
            print("looking up")
    finally:
        stopped.set()


if __name__ == "__main__":
    run(main, SAMPLE)
