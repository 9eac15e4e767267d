"""A bounded queue: the producer and the consumer of `queue_growing`, with room for ten jobs.

What you see: `producer` waits on the queue (`put … 10 of 10`) most of the time, no job is older than a second
or two, and memory is constant. The consumer is as slow as before, but now the producer has to wait for it, and
can react.
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
    """Start both sides of a bounded queue."""
    await both_sides(asyncio.Queue(maxsize=10), options)


if __name__ == "__main__":
    run(main, SAMPLE)
