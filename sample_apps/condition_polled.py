"""Waiting for a condition by polling: checking again and again, with a sleep that is too short.

What you see: `waiter` with hundreds of steps a second, for something that happens twice a second.

The fix: have the task that makes it true wake the waiter (`condition_awaited`).
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoSlowCallback, StepRate, Waiting

SAMPLE = Sample(
    name="condition_polled",
    topic="tasks",
    sentence="A task checks every millisecond whether the tank is full, which it is twice a second.",
    fix="condition_awaited",
    expectations=(
        StepRate(task="waiter", at_least=150),
        Waiting(kind="condition", task="waiter", at_most=0),
        NoSlowCallback(),
    ),
)


class Tank:
    """A tank that fills as time passes."""

    def __init__(self) -> None:
        self.litres = 0

    @property
    def full(self) -> bool:
        """Whether the tank is full."""
        return self.litres >= 10


async def fill(tank: Tank) -> None:
    """Pour twenty litres a second."""
    while True:
        await asyncio.sleep(0.05)
        tank.litres += 1


async def waiter(tank: Tank) -> None:
    """Empty the tank when it is full."""
    while True:
        while not tank.full:
            await asyncio.sleep(0.001)  # wrong: nothing has changed, most of the time
        print(f"{tank.litres} litres")
        tank.litres = 0


async def main(_: Options) -> None:
    """Fill the tank and wait for it."""
    tank = Tank()
    async with asyncio.TaskGroup() as group:
        group.create_task(fill(tank), name="tap")
        group.create_task(waiter(tank), name="waiter")


if __name__ == "__main__":
    run(main, SAMPLE)
