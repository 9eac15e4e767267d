"""`asyncio.gather` with one failure: the gather ends, but the others continue, and nothing awaits them.

What you see: `cook-*` tasks that outlive the failed `dinner-*` task that created them; several dinners' worth at a
time. Nobody notices what they do from then on (here: burn).

The fix: a TaskGroup, which cancels the others and waits for them (`taskgroup_one_fails`), or exceptions as results
(`gather_exceptions`).
"""

import asyncio
import itertools

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import LeftAlone, NoSlowCallback, TaskEnded, Tasks

SAMPLE = Sample(
    name="gather_one_fails",
    topic="tasks",
    sentence="One of three gathered tasks fails; the gather ends, and the other two continue unattended.",
    fix="taskgroup_one_fails",
    expectations=(
        TaskEnded(task="dinner-*", outcome="failed", exception="OutOfEggsError", at_most=0.4, times=3),
        TaskEnded(task="cook-*", outcome="done", at_least=1.0, times=3),
        Tasks(task="cook-*", at_least=5),
        LeftAlone(task="cook-*"),
        NoSlowCallback(),
    ),
)


class OutOfEggsError(RuntimeError):
    """There are no eggs."""


async def cook(dish: str) -> str:
    """Cook a dish; some need eggs."""
    if dish == "omelette":
        await asyncio.sleep(0.1)
        raise OutOfEggsError
    await asyncio.sleep(1.1)
    return dish


async def dinner(number: int) -> None:
    """Cook three dishes at once."""
    dishes = ("soup", "omelette", "figs")
    await asyncio.gather(*(asyncio.create_task(cook(dish), name=f"cook-{dish}-{number}") for dish in dishes))


async def main(_: Options) -> None:
    """Have a dinner every 0.3 s; all of them fail."""
    for number in itertools.count():
        task = asyncio.create_task(dinner(number), name=f"dinner-{number}")
        await asyncio.gather(task, return_exceptions=True)
        cooks = sum(other.get_name().startswith("cook-") for other in asyncio.all_tasks())
        print(f"dinner {number}: {task.exception()!r}, {cooks} are still cooking")
        await asyncio.sleep(0.15)


if __name__ == "__main__":
    run(main, SAMPLE)
