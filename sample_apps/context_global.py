"""The current request in a global variable: while one request waits, the next one overwrites it.

What you see: requests that succeed, and calls of the loop's exception handler: `WrongRequest` in the
callback `write_log`, which runs later and finds another request than its own. A thread-local
variable would be no better: all tasks of a loop are in one thread.

The fix: a `contextvars.ContextVar` (`context_callbacks`).
"""

import asyncio
import itertools
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoSlowCallback, TaskEnded, Unhandled, Utilization

SAMPLE = Sample(
    name="context_global",
    topic="communication",
    sentence="Callbacks look up their request in a global variable, and find another one.",
    fix="context_callbacks",
    expectations=(
        Unhandled(message="Exception in callback write_log", exception="WrongRequest", times=3),
        TaskEnded(task="request-*", outcome="done", times=5),
        Utilization(at_most=0.2),
        NoSlowCallback(),
    ),
)
current = 0


class WrongRequest(Exception):  # noqa: N818 - describes the problem
    """A callback found another request than the one that scheduled it."""


def write_log(scheduled_by: int) -> None:
    """Write a line to the log that names the request."""
    if current != scheduled_by:
        raise WrongRequest(f"a line of request {scheduled_by} is logged as one of request {current}")


async def handle(number: int, rng: random.Random) -> None:
    """Handle a request: make it the current one, and schedule log lines for it."""
    global current
    current = number
    loop = asyncio.get_running_loop()
    loop.call_later(rng.uniform(0.02, 0.5), write_log, number)
    await asyncio.sleep(rng.uniform(0.02, 0.5))
    loop.call_soon(write_log, number)


async def main(options: Options) -> None:
    """Take about four requests a second."""
    rng = random.Random(options.seed)
    async with asyncio.TaskGroup() as requests:
        for number in itertools.count(1):
            requests.create_task(handle(number, rng), name=f"request-{number}")
            if number % 10 == 1:
                print(f"request {number} came in")
            await asyncio.sleep(rng.uniform(0.15, 0.35))


if __name__ == "__main__":
    run(main, SAMPLE)
