"""Eager tasks (Python 3.12 and newer): a task runs its first step while it is created, and may be done afterwards.

What you see: `lookup-*` tasks that are eager. Those that find their answer in the cache end without the loop ever
running them; the others wait like all tasks.
"""

import asyncio
import itertools

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Eager, NoFinding, NoSlowCallback, TaskEnded, Tasks

SAMPLE = Sample(
    name="eager_tasks",
    topic="tasks",
    sentence="Tasks start while they are created; most find their answer in a cache and end at once.",
    fix=None,
    expectations=(
        Eager(task="lookup-*"),
        TaskEnded(task="lookup-*", outcome="done", at_most=0.05, times=10),
        TaskEnded(task="lookup-*", outcome="done", at_least=0.25, times=3),
        Tasks(task="lookup-*", at_least=1, at_most=3),
        NoSlowCallback(),
        NoFinding(),
    ),
    python=(3, 12),
)


async def lookup(key: int, cache: dict[int, int]) -> int:
    """An answer, of the cache or of the server."""
    if key not in cache:
        await asyncio.sleep(0.3)
        cache[key] = key * key
    return cache[key]


async def main(_: Options) -> None:
    """Look up ten keys at a time, eagerly."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    cache: dict[int, int] = {}
    for turn in itertools.count():
        keys = [*cache, turn]
        tasks = [loop.create_task(lookup(key, cache), name=f"lookup-{key}") for key in keys[-10:]]
        at_once = sum(task.done() for task in tasks)
        await asyncio.gather(*tasks)
        print(f"{at_once} of {len(tasks)} were done at once")


if __name__ == "__main__":
    run(main, SAMPLE)
