"""The same deposits with a lock around the read and the write: none is lost.

What you see: `deposit-*` tasks that wait for one lock; the last of ten is as old as all of them together take.

This is the fix for `lost_update`.
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.lost_update import Account
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, TaskEnded, Waiting

SAMPLE = Sample(
    name="lost_update_locked",
    topic="synchronization",
    sentence="Ten deposits read a balance, await, and write it back under a lock, one after another.",
    fix=None,
    expectations=(
        Waiting(kind="lock", task="deposit-*", at_least=4, holder="deposit-*"),
        AwaitStack(task="deposit-*", through=("locks",)),
        TaskEnded(task="deposit-*", outcome="done", at_least=0.6, times=2),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def deposit(account: Account, lock: asyncio.Lock) -> None:
    """Deposit 1 under the lock."""
    async with lock:  # expect: locks
        money = account.money
        await asyncio.sleep(0.1)
        account.money = money + 1


async def main(_: Options) -> None:
    """Ten deposits at a time."""
    account, lock, paid = Account(), asyncio.Lock(), 0
    while True:
        tasks = [asyncio.create_task(deposit(account, lock), name=f"deposit-{i}") for i in range(10)]
        await asyncio.gather(*tasks)
        paid += 10
        print(f"{paid} were paid in, the balance is {account.money}")
        await asyncio.sleep(0.3)


if __name__ == "__main__":
    run(main, SAMPLE)
