"""A deadlock of two locks: each of two tasks holds one, and waits for the other's.

What you see: `ann-to-bob` waits for a lock that `bob-to-ann` holds, and vice versa; neither will ever
continue. Others queue behind them. Nothing is busy, nothing fails, nothing is logged.

The fix: acquire locks in the same order everywhere (`deadlock_ordered`).
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, Finding, NoSlowCallback, NoTaskEnded, Utilization, Waiting

SAMPLE = Sample(
    name="deadlock",
    topic="synchronization",
    sentence="Two transfers acquire the locks of two accounts in opposite order, and wait for each other forever.",
    fix="deadlock_ordered",
    expectations=(
        Waiting(kind="lock", task="ann-to-bob", at_least=1, holder="bob-to-ann"),
        Waiting(kind="lock", task="bob-to-ann", at_least=1, holder="ann-to-bob"),
        AwaitStack(task="ann-to-bob", through=("wants",)),
        AwaitStack(task="bob-to-ann", through=("wants",)),
        Finding("deadlock", task="ann-to-bob", line="wants"),
        NoTaskEnded(task="*-to-*"),
        Utilization(at_most=0.1),
        NoSlowCallback(),
    ),
    watch=5.0,
)


class Account:
    """So much money, and a lock for it."""

    def __init__(self, money: int) -> None:
        self.money = money
        self.lock = asyncio.Lock()


async def transfer(giver: Account, taker: Account, amount: int) -> None:
    """Move money, with both accounts locked."""
    async with giver.lock:
        await asyncio.sleep(0.1)  # a look at the limits
        async with taker.lock:  # expect: wants
            giver.money -= amount
            taker.money += amount


async def main(_: Options) -> None:
    """Two transfers at once, and somebody who looks at the balance."""
    ann, bob = Account(100), Account(100)
    async with asyncio.TaskGroup() as group:
        group.create_task(transfer(ann, bob, 10), name="ann-to-bob")
        group.create_task(transfer(bob, ann, 20), name="bob-to-ann")
        while True:
            print(f"Ann has {ann.money}, Bob has {bob.money}")
            await asyncio.sleep(0.5)


if __name__ == "__main__":
    run(main, SAMPLE)
