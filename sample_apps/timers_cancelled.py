"""Timers that are cancelled: each as soon as its request has been answered.

What you see: as many timers as there are requests in progress; the loop gradually discards the cancelled ones.

This is the fix for `timers_piling_up`.
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.timers_piling_up import LIMIT, alarm
from sample_apps.vocabulary import NoFinding, NoSlowCallback, Tasks, Timers

SAMPLE = Sample(
    name="timers_cancelled",
    topic="loops",
    sentence="Every request sets a timer for an hour from now, and cancels it when it has been answered.",
    fix=None,
    expectations=(
        Timers(at_least=1, at_most=250),
        Tasks(at_most=3),
        NoSlowCallback(),
        NoFinding(),
    ),
    watch=8.0,
)


async def serve() -> None:
    """Answer a hundred requests a second."""
    loop = asyncio.get_running_loop()
    for number in range(LIMIT):
        request = bytes(1000)
        timer = loop.call_later(3600, alarm, request)
        try:
            await asyncio.sleep(0.01)
        finally:
            timer.cancel()
        if number % 100 == 0:
            print(f"{number} requests are answered")


async def main(_: Options) -> None:
    """Run the server and its clients."""
    await asyncio.create_task(serve(), name="server")


if __name__ == "__main__":
    run(main, SAMPLE)
