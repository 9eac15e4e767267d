"""Timers that pile up: every request sets an alarm for an hour from now, and none is cancelled.

What you see: hardly any tasks, nothing slow, and more and more timers on the loop: a hundred more each second. Each
keeps everything its callback references alive for an hour.

The fix: cancel timers that are no longer needed (`timers_cancelled`), or use `asyncio.timeout`, which does.
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, NoSlowCallback, Tasks, Timers

SAMPLE = Sample(
    name="timers_piling_up",
    topic="loops",
    sentence="Every request sets a timer for an hour from now and never cancels it, a hundred a second.",
    fix="timers_cancelled",
    expectations=(
        Timers(at_least=300),
        Finding("timers_piling_up"),
        Tasks(at_most=3),
        NoSlowCallback(),
    ),
    watch=8.0,
)
LIMIT = 100_000  # a sample may be left running


def alarm(request: bytes) -> None:
    """Report that a request was never answered."""
    print("not answered:", len(request))


async def serve() -> None:
    """Answer a hundred requests a second."""
    loop = asyncio.get_running_loop()
    for number in range(LIMIT):
        request = bytes(1000)
        loop.call_later(3600, alarm, request)  # wrong: it stays when the request has been answered
        await asyncio.sleep(0.01)
        if number % 100 == 0:
            print(f"{number} requests are answered")


async def main(_: Options) -> None:
    """Run the server and its clients."""
    await asyncio.create_task(serve(), name="server")


if __name__ == "__main__":
    run(main, SAMPLE)
