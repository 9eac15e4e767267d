"""A TaskGroup with one child that fails: the others are cancelled and awaited, then the group fails.

What you see: of each dinner one `cook-*` failed and two cancelled, all gone by the time that `dinner-*` fails
with an ExceptionGroup: there are never more than three.

This is the fix for `gather_one_fails`.
"""

import asyncio
import itertools

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.gather_one_fails import cook
from sample_apps.vocabulary import Child, NoFinding, NoSlowCallback, NoTaskEnded, NoUnhandled, TaskEnded, Tasks

SAMPLE = Sample(
    name="taskgroup_one_fails",
    topic="tasks",
    sentence="One child of a TaskGroup fails: the other two are cancelled, and no task is left behind.",
    fix=None,
    expectations=(
        TaskEnded(task="cook-omelette-*", outcome="failed", exception="OutOfEggsError", times=3),
        TaskEnded(task="cook-soup-*", outcome="cancelled", at_most=0.5, times=3),
        TaskEnded(task="dinner-*", outcome="failed", exception="ExceptionGroup", at_most=0.5, times=3),
        Child(task="cook-*", parent="dinner-*"),
        Tasks(task="cook-*", at_most=3),
        NoTaskEnded(task="cook-*", outcome="done"),
        NoUnhandled(),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def dinner(number: int) -> None:
    """Cook three dishes at once."""
    async with asyncio.TaskGroup() as group:
        for dish in ("soup", "omelette", "figs"):
            group.create_task(cook(dish), name=f"cook-{dish}-{number}")


async def main(_: Options) -> None:
    """Have a dinner every 0.3 s; all of them fail."""
    for number in itertools.count():
        task = asyncio.create_task(dinner(number), name=f"dinner-{number}")
        await asyncio.gather(task, return_exceptions=True)
        cooks = sum(other.get_name().startswith("cook-") for other in asyncio.all_tasks())
        print(f"dinner {number}: {task.exception()!r}, {cooks} are still cooking")
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    run(main, SAMPLE)
