"""A periodic job that drifts: it works, and then sleeps for a whole period.

What you see: `metronome` should tick five times a second, and ticks less than three times: its work between two
ticks is added to the period. Nothing is slow and there is no error; the job is just late, and
later each time.

The fix: sleep until the next time it is due (`periodic_steady`).
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoSlowCallback, NotSeenYet, StepRate, Waiting

SAMPLE = Sample(
    name="periodic_drifting",
    topic="loops",
    sentence="A job is due five times a second, but sleeps for the whole period after its work.",
    fix="periodic_steady",
    expectations=(
        StepRate(task="metronome", at_most=7),
        Waiting(kind="sleep", task="metronome", at_least=1),
        NoSlowCallback(),
        NotSeenYet(
            "that the job is due more often than it comes",
            because="the loop does not know when a job is due: only its author knows the period",
        ),
    ),
)
PERIOD = 0.2


async def work() -> None:
    """Do what is to be done, which takes a while: two steps of the task in all."""
    await asyncio.sleep(0.18)


async def metronome() -> None:
    """Work, and rest for the period."""
    loop = asyncio.get_running_loop()
    start, ticks = loop.time(), 0
    while True:
        await work()
        ticks += 1
        print(f"tick {ticks}, {loop.time() - start - ticks * PERIOD:.2f} s late")
        await asyncio.sleep(PERIOD)


async def main(_: Options) -> None:
    """Start the metronome and let it drift."""
    await asyncio.create_task(metronome(), name="metronome")


if __name__ == "__main__":
    run(main, SAMPLE)
