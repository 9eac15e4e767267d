"""A lost update between threads of an executor: an asyncio.Lock would not help, because there is no await in between.

What you see: `deposit-*` tasks that all wait for an executor, and are done when the slowest thread is.
The balance is wrong, which no monitor can see; it can show that they all run at once.

The fix: a threading.Lock around the read and the write (`lost_update_threads_locked`), or one thread for all of
them.
"""

import asyncio
import time

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoSlowCallback, NoTaskEnded, NotSeenYet, TaskEnded, Waiting

SAMPLE = Sample(
    name="lost_update_threads",
    topic="synchronization",
    sentence="Four executor threads read a balance, wait, and write it back, so that three of four are lost.",
    fix="lost_update_threads_locked",
    expectations=(
        Waiting(kind="executor", task="deposit-*", at_least=4),
        AwaitStack(task="deposit-*", through=("threads",)),
        TaskEnded(task="deposit-*", outcome="done", at_most=0.35, times=12),
        NotSeenYet("that three of four deposits are lost", because="the values of variables are not watched"),
        NoTaskEnded(task="deposit-*", outcome="failed"),
        NoSlowCallback(),
    ),
)


class Account:
    """An account with a balance."""

    def __init__(self) -> None:
        self.money = 0

    def deposit(self) -> None:
        """Deposit 1, in a thread."""
        money = self.money
        time.sleep(0.2)
        self.money = money + 1  # wrong: the balance may have changed since


async def deposit(account: Account) -> None:
    """Deposit 1 in a thread, and wait for it."""
    await asyncio.to_thread(account.deposit)  # expect: threads


async def main(_: Options) -> None:
    """Four deposits at a time."""
    account, paid = Account(), 0
    while True:
        await asyncio.gather(*(asyncio.create_task(deposit(account), name=f"deposit-{i}") for i in range(4)))
        paid += 4
        print(f"{paid} were paid in, the balance is {account.money}")
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    run(main, SAMPLE)
