"""`asyncio.as_completed`, with a timeout: results in the order of completion, fastest first.

What you see: `race` waits for a queue or an event inside as_completed (which is implemented that way), with fewer
`runner-*` each time; those that have not finished after 0.5 s are cancelled.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, NoUnhandled, TaskEnded, Tasks

SAMPLE = Sample(
    name="as_completed",
    topic="tasks",
    sentence="Eight runners finish one by one, in the order of as_completed, until the time is up.",
    fix=None,
    expectations=(
        AwaitStack(task="race", through=("comes",)),
        Tasks(task="runner-*", at_least=2, at_most=8),
        TaskEnded(task="runner-*", outcome="done", times=4),
        TaskEnded(task="runner-*", outcome="cancelled", at_least=0.45, times=2),
        NoUnhandled(),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def runner(seconds: float) -> float:
    """Run for a while and return the time it took."""
    await asyncio.sleep(seconds)
    return seconds


async def race(rng: random.Random) -> None:
    """Race after race: one in two runners is fast enough."""
    while True:
        times = [rng.uniform(0.1, 0.4) for _ in range(4)] + [rng.uniform(0.6, 0.9) for _ in range(4)]
        runners = [asyncio.create_task(runner(time), name=f"runner-{i}") for i, time in enumerate(times)]
        came: list[float] = []
        try:
            for first in asyncio.as_completed(runners, timeout=0.5):
                came.append(await first)  # noqa: PERF401 - each as it completes  # expect: comes
        except TimeoutError:
            print("came in after", ", ".join(f"{time:.2f} s" for time in came))
        finally:
            for task in runners:
                task.cancel()
            await asyncio.gather(*runners, return_exceptions=True)


async def main(options: Options) -> None:
    """Hold one race after the other."""
    await asyncio.create_task(race(random.Random(options.seed)), name="race")


if __name__ == "__main__":
    run(main, SAMPLE)
