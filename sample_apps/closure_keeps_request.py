"""A closure that keeps a request alive: a reminder for next week needs a name, and holds the whole upload.

What you see: memory grows by a megabyte or more a second, all of it allocated at the line that receives the body
of a request. The requests are done, no list keeps them, and no task is left. The loop has more and more
timers; each holds a lambda, the lambda the variables it mentions, and one of these is the request.

The fix: pass the callback what it needs, and nothing else (`closure_keeps_name`).
"""

import asyncio
import random
from dataclasses import dataclass

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, MemoryGrowth, NoSlowCallback, TaskEnded, Timers, Utilization

SAMPLE = Sample(
    name="closure_keeps_request",
    topic="memory",
    sentence="A timer for next week holds a lambda, which holds a request with its whole upload.",
    fix="closure_keeps_name",
    expectations=(
        MemoryGrowth(line="receives", at_least=500_000),
        Timers(at_least=20),
        TaskEnded(task="upload-*", outcome="done", times=20),
        Utilization(at_most=0.3),
        NoSlowCallback(),
        Finding("memory_growing"),
    ),
    watch=19.0,  # memory must grow for 15 s
)
LIMIT = 1000  # a sample may be left running
NEXT_WEEK = 7 * 24 * 3600.0


@dataclass
class Request:
    """An upload, and who it is from."""

    name: str
    body: bytes


def receive(number: int, rng: random.Random) -> Request:
    """A request of about 128 KiB."""
    body = b"." * rng.randrange(120_000, 140_000)  # expect: receives
    return Request(f"user-{number}", body)


def remind(name: str) -> None:
    """Remind somebody of what they have uploaded."""
    print(f"{name}, do you remember?")


async def upload(number: int, rng: random.Random) -> None:
    """Handle an upload, and remind its owner next week."""
    request = receive(number, rng)
    asyncio.get_running_loop().call_later(NEXT_WEEK, lambda: remind(request.name))


async def main(options: Options) -> None:
    """Handle about twenty uploads a second."""
    rng = random.Random(options.seed)
    async with asyncio.TaskGroup() as uploads:
        for number in range(LIMIT):
            uploads.create_task(upload(number, rng), name=f"upload-{number}")
            if number % 20 == 0:
                print(f"{number + 1} uploads were handled")
            await asyncio.sleep(rng.uniform(0.04, 0.06))
        await asyncio.Event().wait()


if __name__ == "__main__":
    run(main, SAMPLE)
