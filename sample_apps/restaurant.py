"""The restaurant: one loop that greets, serves, cooks and pours.

Its people are tasks and take turns: while a dish is in the oven, the cook waits, and everybody else
can work. All goes well until `chef-1` flambés: he does not wait but stands there and blocks the loop for
0.7 s, and in that time no door opens, no glass is filled and no guest is served.

What you see: guests who wait for one of four tables (a semaphore), `waiter-*` and `bartender` who wait on
queues, cooks who wait for the oven (a lock), guests who come and go among the ended; and every few
seconds a slow callback of `chef-1` at the line with the flames, with everybody else standing still.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, LoopLag, SlowCallback, TaskEnded, Waiting

SAMPLE = Sample(
    name="restaurant",
    topic="programs",
    sentence="One loop greets, serves, cooks and pours, until the chef flambés and everything stands still.",
    fix="restaurant_calm",
    expectations=(
        SlowCallback(task="chef-1", line="flames", at_least=0.65, at_most=1.5),
        LoopLag(at_least=0.3),
        Waiting(kind="semaphore", task="guest-*", at_least=2),
        Waiting(kind="queue", task="waiter-*", at_least=1),
        Waiting(kind="queue", task="bartender", at_least=1),
        TaskEnded(task="guest-*", outcome="done", times=3),
        Finding("loop_blocked", task="chef-1", line="flames"),
    ),
    watch=7.0,  # two times that he flambés: one is just half a second, the least that is a finding
)
CROWD = 12  # guests in the house, at a table or waiting for one


@dataclass
class Order:
    """What a guest wants, and the moments when it is ready."""

    guest: str
    cooked: asyncio.Event = field(default_factory=asyncio.Event)
    poured: asyncio.Event = field(default_factory=asyncio.Event)
    served: asyncio.Event = field(default_factory=asyncio.Event)


class Restaurant:
    """What the people share: four tables, an oven, and the slips of paper that go from hand to hand."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.tables = asyncio.Semaphore(4)
        self.oven = asyncio.Lock()
        self.orders: asyncio.Queue[Order] = asyncio.Queue()
        self.kitchen: asyncio.Queue[Order] = asyncio.Queue()
        self.bar: asyncio.Queue[Order] = asyncio.Queue()

    async def takes(self, shortest: float, longest: float) -> None:
        """Let some time pass."""
        await asyncio.sleep(self.rng.uniform(shortest, longest))


async def host(house: Restaurant) -> None:
    """Greet who comes to the door, and send them away when the house is full."""
    inside: set[asyncio.Task[None]] = set()
    async with asyncio.TaskGroup() as guests:
        for number in itertools.count(1):
            await house.takes(0.1, 0.3)
            if len(inside) == CROWD:
                continue
            task = guests.create_task(guest(house, f"guest-{number}"), name=f"guest-{number}")
            inside.add(task)
            task.add_done_callback(inside.discard)


async def guest(house: Restaurant, name: str) -> None:
    """Wait for a table, order, wait for the meal, eat it, go."""
    async with house.tables:
        order = Order(name)
        await house.orders.put(order)
        await order.served.wait()
        await house.takes(0.6, 1.2)
    print(f"{name} leaves content")


async def waiter(house: Restaurant) -> None:
    """Carry orders to kitchen and bar, and what comes of them to the guest."""
    while True:
        order = await house.orders.get()
        await house.takes(0.02, 0.05)
        await house.kitchen.put(order)
        await house.bar.put(order)
        await asyncio.gather(order.cooked.wait(), order.poured.wait())
        order.served.set()


def burn_off() -> None:
    """Stand there until the flames are out."""
    time.sleep(0.7)  # expect: flames


async def on_the_spot() -> None:
    """Stand in the flames, and everybody with us."""
    burn_off()


async def chef(house: Restaurant, flambe: Callable[[], Awaitable[None]] | None) -> None:
    """Cook one order after the other; the oven has room for one dish."""
    for dish in itertools.count(1):
        order = await house.kitchen.get()
        await house.takes(0.1, 0.2)
        async with house.oven:
            await house.takes(0.1, 0.2)
        if flambe is not None and dish % 3 == 0:
            print(f"{order.guest} has ordered crêpes Suzette: everybody holds their breath")
            await flambe()
        order.cooked.set()


async def bartender(house: Restaurant) -> None:
    """Pour one drink after the other."""
    while True:
        order = await house.bar.get()
        await house.takes(0.05, 0.1)
        order.poured.set()


async def open_house(options: Options, flambe: Callable[[], Awaitable[None]]) -> None:
    """Open the house, where `chef-1` flambés as told."""
    house = Restaurant(random.Random(options.seed))
    async with asyncio.TaskGroup() as staff:
        staff.create_task(host(house), name="host")
        for number in (1, 2, 3, 4):
            staff.create_task(waiter(house), name=f"waiter-{number}")
        for number in (1, 2):
            staff.create_task(chef(house, flambe if number == 1 else None), name=f"chef-{number}")
        staff.create_task(bartender(house), name="bartender")


async def main(options: Options) -> None:
    """Open the restaurant and serve guests."""
    await open_house(options, on_the_spot)


if __name__ == "__main__":
    run(main, SAMPLE)
