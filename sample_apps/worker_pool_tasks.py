"""A worker pool of tasks, as a context manager: a number of workers take jobs from one queue until the pool is closed.

What you see: four `worker-*` tasks, some at work and the others waiting for one queue; `client` waits for the
answers. The pool is an `async with`: at its end the workers are cancelled and awaited.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, TaskEnded, Tasks, Waiting

SAMPLE = Sample(
    name="worker_pool_tasks",
    topic="generators",
    sentence="Four tasks take jobs from one queue; the pool opens and closes with an async with.",
    fix=None,
    expectations=(
        Tasks(task="worker-*", at_least=4, at_most=4),
        Waiting(kind="queue", task="worker-*", at_least=1),
        AwaitStack(task="worker-*", through=("works",)),
        AwaitStack(task="client", through=("submits",)),
        TaskEnded(task="worker-*", outcome="cancelled", times=4),
        NoSlowCallback(),
        NoFinding(),
    ),
)

Job = tuple[int, asyncio.Future[int]]
Submit = Callable[[int], Awaitable[int]]


async def worker(jobs: asyncio.Queue[Job], rng: random.Random) -> None:
    """Do one job after another."""
    while True:
        number, result = await jobs.get()
        await asyncio.sleep(rng.uniform(0.05, 0.2))  # expect: works
        if not result.done():
            result.set_result(number * number)


@asynccontextmanager
async def pool(size: int, rng: random.Random) -> AsyncIterator[Submit]:
    """A pool of workers; yields a function that submits a job and awaits its result."""
    jobs: asyncio.Queue[Job] = asyncio.Queue()
    workers = [asyncio.create_task(worker(jobs, rng), name=f"worker-{number}") for number in range(size)]

    async def submit(number: int) -> int:
        result: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        jobs.put_nowait((number, result))
        return await result

    try:
        yield submit
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def client(rng: random.Random) -> None:
    """Open a pool, compute for a while, close it."""
    while True:
        async with pool(4, rng) as submit:
            for _ in range(6):
                squares = await asyncio.gather(*(submit(number) for number in range(6)))  # expect: submits
                print(sum(squares))


async def main(options: Options) -> None:
    """Start the workers and their client."""
    await asyncio.create_task(client(random.Random(options.seed)), name="client")


if __name__ == "__main__":
    run(main, SAMPLE)
