"""Scheduling onto another thread's loop without waking it: `create_task` and `call_soon` are not thread-safe.

What happens: `order-*` tasks are ready but do not run, because their loop sleeps in `select` and is not woken:
it notices them when its own timer fires, up to half a second later. On a busy loop
that goes unnoticed, and occasionally it corrupts a queue.

What you see: tasks that need no time at all are 1 to 25 ms old when they end. They are younger than unwatched,
because the probe wakes the loop 40 times a second to measure its lag.

The fix: `run_coroutine_threadsafe` and `call_soon_threadsafe`, which wake it (`across_threads`).
"""

import asyncio
import threading

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoSlowCallback, NotSeenYet, TaskEnded

SAMPLE = Sample(
    name="across_threads_unsafe",
    topic="loops",
    sentence="A thread creates tasks on another thread's loop, which sleeps on and runs them late.",
    fix="across_threads",
    expectations=(
        TaskEnded(task="order-*", outcome="done", at_least=0.001, times=4),
        NotSeenYet(
            TaskEnded(task="order-*", outcome="done", at_least=0.15, times=2),
            because="the probe wakes the loop 40 times a second, to measure its lag: they are less late while watched",
        ),
        NoSlowCallback(),
    ),
)


async def order(number: int) -> None:
    """Take an order: this needs no time at all."""
    print(f"order {number} is taken")


def phone(loop: asyncio.AbstractEventLoop, stopped: threading.Event) -> None:
    """Take orders in another thread and pass them on."""
    for number in range(1_000_000):
        if stopped.wait(0.33):
            return
        loop.create_task(order(number), name=f"order-{number}")  # wrong: this loop belongs to another thread


async def main(_: Options) -> None:
    """Wake twice a second; the loop sleeps in between."""
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
