"""A program that does many things wrong at once, to fill every screen of the dashboard.

What you see, within five seconds:

* tasks that are busy (`cpu-burner`), that block (`config-reader`), that step very often (`poller`), and
  many that wait: for a lock held by `holder`, on queues, streams, a subprocess, an executor, a sleep
* slow callbacks at three lines: two in tasks, one in a plain callback (`compact`)
* `report-*`: await stacks through a TaskGroup, gather, wait_for, shield and an async generator
* growth: `audit-*`, a leak of four tasks a second from one line, up to 400; a cache, up to 25 MB; a queue
  that `intake` fills faster than `clerk` empties it; pictures that wait for two threads
* hangs: `ann-to-bob` and `bob-to-ann`, a deadlock; `stubborn`, which swallows its cancellation
* `order-*` among the ended: done, failed (with the exception) and cancelled; `forgotten-*`, whose
  exceptions are never retrieved, and a callback that raises; a coroutine that is never awaited, and a task that
  is collected while it waits
* the times of `order` and `chapters` on the Profile screen: they are decorated

For the fix of each, see the sample that shows it alone: `looptop samples list`.
"""

import asyncio
import contextlib
import gc
import itertools
import random
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sample_apps import collected_pending, executor_small, never_awaited, queue_growing, swallowed_cancel
from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import burn
from sample_apps.deadlock import Account, transfer
from sample_apps.entry import Options, run
from sample_apps.lock_convoy import Stock, holder, waiter
from sample_apps.queue_polling import producer
from sample_apps.vocabulary import (
    AwaitStack,
    Child,
    Finding,
    SlowCallback,
    StepRate,
    TaskEnded,
    TasksGrowing,
    Unhandled,
    Utilization,
    Waiting,
)

SAMPLE = Sample(
    name="demo",
    topic="programs",
    sentence="A program that misbehaves in many ways at once, for the dashboard to show.",
    fix=None,
    expectations=(
        SlowCallback(task="cpu-burner", line="burns", at_least=0.13, at_most=0.6, times=2),
        SlowCallback(task="config-reader", line="blocks", at_least=0.22, at_most=0.6, times=2),
        SlowCallback(task=None, line="compacts", at_least=0.1, at_most=0.6, times=1),
        Utilization(at_least=0.3, at_most=0.9),
        StepRate(task="poller", at_least=100),
        Waiting(kind="lock", task="waiter-*", at_least=3, holder="holder"),
        Waiting(kind="queue", task="consumer-*", at_least=2),
        Waiting(kind="socket", task="echo-client", at_least=1),
        Waiting(kind="subprocess", task="converter", at_least=1),
        Waiting(kind="executor", task="archiver", at_least=1),
        Waiting(kind="sleep", task="clock", at_least=1),
        TasksGrowing(site="leaks", per_second=1),
        TaskEnded(task="order-*", outcome="done", times=2),
        TaskEnded(task="order-*", outcome="failed", exception="ZeroDivisionError"),
        TaskEnded(task="order-*", outcome="cancelled"),
        Unhandled(message="Task exception was never retrieved", exception="ZeroDivisionError"),
        Unhandled(message="Exception in callback", exception="ZeroDivisionError"),
        AwaitStack(task="report-text", through=("guards",)),
        AwaitStack(task="report-text-pages", through=("reads", "turns")),
        Child(task="report-text-pages", parent="report-text"),
        Finding("loop_blocked", line="blocks"),
        Finding("deadlock", task="ann-to-bob"),
        Finding("executor_saturated"),
        Finding("cancel_swallowed", task="stubborn"),
        Finding("never_retrieved", task="forgotten-*"),
        Finding("never_awaited"),
        Finding("collected_pending", task="let-go"),
    ),
    seconds=600,
    needs=("probes",),
    watch=10.0,
)
ENOUGH = 400  # leaked tasks, and entries in the cache


# -- tasks that occupy the loop --


async def cpu_burner(rng: random.Random) -> None:
    """Block the loop with a computation, repeatedly."""
    while True:
        burn(rng.uniform(0.15, 0.25))  # expect: burns
        await asyncio.sleep(0.8)


async def config_reader() -> None:
    """Read a file from a slow network drive, with a blocking call."""
    while True:
        time.sleep(0.25)  # expect: blocks
        await asyncio.sleep(1.3)


def compact(rng: random.Random) -> None:
    """Compute in a plain callback."""
    end = time.perf_counter() + rng.uniform(0.12, 0.18)
    while time.perf_counter() < end:
        sum(range(20_000))  # expect: compacts
    asyncio.get_running_loop().call_later(2, compact, rng)


async def poller(queue: asyncio.Queue[int]) -> None:
    """Ask every few milliseconds whether the queue is full instead of waiting."""
    while not queue.full():
        await asyncio.sleep(0.002)


# -- tasks that wait for others --


async def consumer(queue: asyncio.Queue[int]) -> None:
    """Wait for items and process them."""
    while True:
        await asyncio.sleep(await queue.get() / 10_000)


async def echo_server(connection: socket.socket) -> None:
    """Send each line back after a while."""
    reader, writer = await asyncio.open_connection(sock=connection)
    with contextlib.closing(writer):
        while line := await reader.readline():
            await asyncio.sleep(0.4)
            writer.write(line)


async def echo_client(connection: socket.socket) -> None:
    """Send a line, and wait until it is back."""
    reader, writer = await asyncio.open_connection(sock=connection)
    with contextlib.closing(writer):
        while True:
            writer.write(b"hello\n")
            await reader.readline()


async def converter() -> None:
    """Run a program and wait for it."""
    while True:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import time; time.sleep(5)", start_new_session=True
        )
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def archiver() -> None:
    """Run blocking work in a thread, as it should be."""
    while True:
        await asyncio.to_thread(time.sleep, 0.5)


# -- growth --


async def audit(confirmed: asyncio.Event) -> None:
    """Wait for a confirmation that never comes."""
    await confirmed.wait()


async def requests() -> None:
    """Start an audit for each request, and drop it."""
    confirmed = asyncio.Event()
    for number in range(ENOUGH):
        asyncio.create_task(audit(confirmed), name=f"audit-{number}")  # expect: leaks
        await asyncio.sleep(0.25)
    await confirmed.wait()


async def cache(rng: random.Random) -> None:
    """Cache every answer forever."""
    answers: dict[int, bytes] = {}
    for number in range(ENOUGH):
        answers[number] = rng.randbytes(64 * 1024)
        await asyncio.sleep(0.25)
    await asyncio.Event().wait()


async def pictures() -> None:
    """Keep eight pictures waiting for two threads."""
    pool = ThreadPoolExecutor(2, "shrink")
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(shrink(number, pool), name=f"thumbnail-{number}")
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


async def shrink(number: int, pool: ThreadPoolExecutor) -> None:
    """Shrink one picture after another."""
    while True:
        await asyncio.get_running_loop().run_in_executor(pool, executor_small.shrink, number)


# -- hangs --


async def canceller() -> None:
    """Cancel a task that swallows it."""
    stopped = asyncio.Event()
    stubborn = asyncio.create_task(swallowed_cancel.poller(stopped), name="stubborn")
    try:
        await asyncio.sleep(0.5)
        stubborn.cancel()
        await asyncio.wait([stubborn])
    finally:
        stopped.set()


# -- ends --


async def order(pieces: int) -> int:
    """Take an order that is split among the pieces; zero pieces raise an exception."""
    await asyncio.sleep(0.3)
    return 100 // pieces


async def shop(order: Callable[[int], Coroutine[Any, Any, int]]) -> None:
    """Take three orders: one fails, one is done, one is cancelled. Forget a fourth."""
    for number in itertools.count():
        names = [f"order-{number}-of-{pieces}" for pieces in range(3)]
        tasks = [asyncio.create_task(order(pieces), name=name) for pieces, name in enumerate(names)]
        asyncio.get_running_loop().call_later(0.2, tasks[2].cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        asyncio.create_task(order(0), name=f"forgotten-{number}")
        await asyncio.sleep(2)


async def forgetful() -> None:
    """Call a coroutine without await, and drop a waiting task, which the collector finds."""
    while True:
        never_awaited.Document().save()  # type: ignore[unused-coroutine]
        asyncio.create_task(collected_pending.audit(), name="let-go")
        await asyncio.sleep(3)
        gc.collect()


def average(items: list[int]) -> None:
    """Raise an exception in a callback, if there are no items."""
    asyncio.get_running_loop().call_later(5, average, items)
    print(sum(items) / len(items))


def complain(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Print unhandled exceptions on one line instead of with their traceback."""
    print(f"unhandled: {context['message']}: {context.get('exception')!r}")


# -- deep await stacks --


async def report(chapters: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Write one report after another: a TaskGroup whose task gathers others."""
    while True:
        async with asyncio.TaskGroup() as group:
            group.create_task(chapters(), name="report-chapters")


async def chapters() -> None:
    """Gather the parts of the chapters."""
    await asyncio.gather(
        asyncio.create_task(part("report-text"), name="report-text"),
        asyncio.create_task(part("report-figures"), name="report-figures"),
    )


async def part(name: str) -> None:
    """Wait for the pages with a timeout, and shield them from it."""
    reading = asyncio.create_task(read(), name=f"{name}-pages")
    await asyncio.wait_for(asyncio.shield(reading), timeout=60)  # expect: guards


async def read() -> int:
    """Read all pages and return their length."""
    length = 0
    async for page in pages():  # expect: reads
        length += len(page)
    return length


async def pages() -> AsyncIterator[str]:
    """Yield the pages one after the other."""
    for number in range(10):
        await asyncio.sleep(0.4)  # expect: turns
        yield f"page {number}"


async def clock() -> None:
    """Print the time, and the number of tasks."""
    while True:
        print(f"{time.strftime('%H:%M:%S')} {len(asyncio.all_tasks())} tasks")
        await asyncio.sleep(1)


async def main(options: Options) -> None:
    """Start all tasks of the demo."""
    from probes import profile_time  # here, so that the catalogue works without it

    rng = random.Random(options.seed)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(complain)
    loop.call_later(1, compact, rng)
    loop.call_later(2, average, [])
    here, there = socket.socketpair()
    stock, queue = Stock(), asyncio.Queue[int](maxsize=100)
    jobs: asyncio.Queue[queue_growing.Job] = asyncio.Queue()
    ann, bob = Account(100), Account(100)
    people = {
        "holder": holder(stock),
        **{f"waiter-{number}": waiter(stock, rng) for number in range(5)},
        "producer": producer(queue, rng),
        **{f"consumer-{number}": consumer(queue) for number in range(4)},
        "poller": poller(queue),
        "cpu-burner": cpu_burner(rng),
        "config-reader": config_reader(),
        "echo-client": echo_client(here),
        "echo-server": echo_server(there),
        "converter": converter(),
        "archiver": archiver(),
        "requests": requests(),
        "cache": cache(rng),
        "shop": shop(profile_time(order)),
        "report": report(profile_time(chapters)),
        "clock": clock(),
        "intake": queue_growing.producer(jobs, rng),
        "clerk": queue_growing.consumer(jobs),
        "pictures": pictures(),
        "ann-to-bob": transfer(ann, bob, 10),
        "bob-to-ann": transfer(bob, ann, 20),
        "canceller": canceller(),
        "forgetful": forgetful(),
    }
    async with asyncio.TaskGroup() as group:
        for name, coroutine in people.items():
            group.create_task(coroutine, name=name)


if __name__ == "__main__":
    run(main, SAMPLE)
