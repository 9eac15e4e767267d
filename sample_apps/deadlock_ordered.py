"""Locks acquired in a fixed order: by account name, whatever the direction of the transfer.

What you see: transfers that are done one after another, all of them.

This is the fix for `deadlock`.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.deadlock import Account
from sample_apps.entry import Options, run
from sample_apps.vocabulary import NoFinding, NoSlowCallback, TaskEnded, Waiting

SAMPLE = Sample(
    name="deadlock_ordered",
    topic="synchronization",
    sentence="Transfers in both directions acquire the locks of two accounts in the same order, and all are done.",
    fix=None,
    expectations=(
        TaskEnded(task="ann-to-bob", outcome="done", at_most=1.5, times=4),
        TaskEnded(task="bob-to-ann", outcome="done", at_most=1.5, times=4),
        Waiting(kind="lock", task="*-to-*", at_least=1),
        NoSlowCallback(),
        NoFinding(),
    ),
    watch=5.0,
)


async def transfer(accounts: dict[str, Account], giver: str, taker: str, amount: int) -> None:
    """Move money with both accounts locked, the alphabetically first one first."""
    first, second = sorted((giver, taker))
    async with accounts[first].lock:
        await asyncio.sleep(0.1)  # check the limits
        async with accounts[second].lock:
            accounts[giver].money -= amount
            accounts[taker].money += amount


async def main(options: Options) -> None:
    """Transfer in both directions at once, repeatedly."""
    rng = random.Random(options.seed)
    accounts = {"ann": Account(100), "bob": Account(100)}
    while True:
        async with asyncio.TaskGroup() as group:
            group.create_task(transfer(accounts, "ann", "bob", rng.randrange(20)), name="ann-to-bob")
            group.create_task(transfer(accounts, "bob", "ann", rng.randrange(20)), name="bob-to-ann")
        print(f"Ann has {accounts['ann'].money}, Bob has {accounts['bob'].money}")
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    run(main, SAMPLE)
