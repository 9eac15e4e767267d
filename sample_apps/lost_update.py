"""A lost update: a value read before an await is written after it, and undoes updates made in between.

What you see: nothing. `deposit-*` tasks come and go, all is fast, nothing waits for a lock, and money vanishes:
the last line of each round prints how much. A monitor can only show that nothing ever waits for a lock here.

The fix: a lock around the read and the write (`lost_update_locked`). `looptop check` finds the pattern in the
source.
"""

import asyncio

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoSlowCallback, NotSeenYet, TaskEnded, Waiting

SAMPLE = Sample(
    name="lost_update",
    topic="synchronization",
    sentence="Ten deposits read a balance, await, and write it back, so that nine of ten are lost.",
    fix="lost_update_locked",
    expectations=(
        Waiting(kind="lock", task="deposit-*", at_most=0),
        AwaitStack(task="deposit-*", through=("awaits",)),
        TaskEnded(task="deposit-*", outcome="done", at_most=0.6, times=30),
        NotSeenYet(
            "that nine of ten deposits are lost",
            because="the values of variables are not watched; `looptop check` finds the line (LT12)",
        ),
        NoSlowCallback(),
    ),
)


class Account:
    """An account with a balance."""

    def __init__(self) -> None:
        self.money = 0


async def deposit(account: Account) -> None:
    """Deposit 1, with an await between read and write."""
    money = account.money
    await asyncio.sleep(0.2)  # expect: awaits
    account.money = money + 1  # wrong: the balance may have changed since


async def main(_: Options) -> None:
    """Ten deposits at a time."""
    account, paid = Account(), 0
    while True:
        await asyncio.gather(*(asyncio.create_task(deposit(account), name=f"deposit-{i}") for i in range(10)))
        paid += 10
        print(f"{paid} were paid in, the balance is {account.money}")
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    run(main, SAMPLE)
