"""The current request in a context variable: each task has its own value and passes it on to its callbacks.

What you see: requests that succeed, and no call of the exception handler: `call_soon`, `call_later`,
`create_task` and `to_thread` copy the context when they are called, so the callback finds the
request that scheduled it, whatever came later.
"""

import asyncio
import itertools
import random
from contextvars import ContextVar, copy_context

from sample_apps.catalogue import Sample
from sample_apps.context_global import WrongRequest
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, NoUnhandled, TaskEnded, Utilization

SAMPLE = Sample(
    name="context_callbacks",
    topic="communication",
    sentence="Callbacks, tasks and threads find their request in a context variable.",
    fix=None,
    expectations=(
        NoUnhandled(),
        TaskEnded(task="request-*", outcome="done", times=5),
        TaskEnded(task="mail-*", outcome="done", times=5),
        Utilization(at_most=0.2),
        NoSlowCallback(),
        NoFinding(),
    ),
)
current: ContextVar[int] = ContextVar("current", default=0)


def write_log(scheduled_by: int) -> None:
    """Write a line to the log that names the request."""
    if current.get() != scheduled_by:
        raise WrongRequest(f"a line of request {scheduled_by} is logged as one of request {current.get()}")


async def send_mail(scheduled_by: int) -> None:
    """Do something in a task of its own, and in a thread."""
    await asyncio.to_thread(write_log, scheduled_by)


async def handle(number: int, rng: random.Random) -> None:
    """Handle a request: say which one it is, and have lines written for it later."""
    current.set(number)
    loop = asyncio.get_running_loop()
    loop.call_later(rng.uniform(0.02, 0.5), write_log, number)
    mail = asyncio.create_task(send_mail(number), name=f"mail-{number}")
    elsewhere = copy_context()
    elsewhere.run(current.set, 0)
    loop.call_soon(write_log, 0, context=elsewhere)  # or another one, when told
    await asyncio.sleep(rng.uniform(0.02, 0.5))
    loop.call_soon(write_log, number)
    await mail


async def main(options: Options) -> None:
    """Take about four requests a second."""
    rng = random.Random(options.seed)
    async with asyncio.TaskGroup() as requests:
        for number in itertools.count(1):
            requests.create_task(handle(number, rng), name=f"request-{number}")
            if number % 10 == 0:
                print(f"{number} requests, and every line in the log has its own")
            await asyncio.sleep(rng.uniform(0.15, 0.35))


if __name__ == "__main__":
    run(main, SAMPLE)
