"""Waiting with `Condition.wait_for`: the task that makes the condition true notifies, and the waiter sleeps until then.

What you see: `waiter` waits for a condition, with at most one step per litre.

This is the fix for `condition_polled`.
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.condition_polled import Tank
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, StepRate, Waiting

SAMPLE = Sample(
    name="condition_awaited",
    topic="tasks",
    sentence="A task waits until the tank is full, and is woken by the task that fills it.",
    fix=None,
    expectations=(
        Waiting(kind="condition", task="waiter", at_least=1),
        AwaitStack(task="waiter", through=("waits",)),
        StepRate(task="waiter", at_most=50),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def fill(tank: Tank, changed: asyncio.Condition) -> None:
    """Pour twenty litres a second, and notify."""
    while True:
        await asyncio.sleep(0.05)
        async with changed:
            tank.litres += 1
            changed.notify_all()


async def waiter(tank: Tank, changed: asyncio.Condition) -> None:
    """Empty the tank when it is full."""
    while True:
        async with changed:
            await changed.wait_for(lambda: tank.full)  # expect: waits
            print(f"{tank.litres} litres")
            tank.litres = 0


async def main(_: Options) -> None:
    """Start the task that fills and the one that waits."""
    tank, changed = Tank(), asyncio.Condition()
    async with asyncio.TaskGroup() as group:
        group.create_task(fill(tank, changed), name="tap")
        group.create_task(waiter(tank, changed), name="waiter")


if __name__ == "__main__":
    run(main, SAMPLE)
