"""A queue with a bound: the producer and the consumer of `queue_growing`, and room for ten jobs.

What you see: `producer` waits on the queue (`put … 10 of 10`) most of the time, no job is older than a second
or two, and memory stays what it is. The consumer is as slow as before: now it is told to the one who can do
something about it.
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.queue_growing import both_sides
from sample_apps.vocabulary import NoFinding, NoSlowCallback, StepRate, Utilization, Waiting

SAMPLE = Sample(
    name="queue_bounded",
    topic="communication",
    sentence="A producer waits while its queue of ten jobs is full.",
    fix=None,
    expectations=(
        Waiting(kind="queue", task="producer", at_least=1),
        Waiting(kind="queue", task="closer", at_least=1),
        StepRate(task="producer", at_most=60),
        Utilization(at_most=0.2),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def main(options: Options) -> None:
    """Start both sides of a queue with a bound."""
    await both_sides(asyncio.Queue(maxsize=10), options)


if __name__ == "__main__":
    run(main, SAMPLE)
