"""The same deposits with a threading.Lock around the read and the write: the threads take turns, and none is lost.

What you see: `deposit-*` tasks that wait for an executor; the last of four is as old as all of them together
take. The thread that holds the lock is not visible: the loop only knows that the executor's futures are pending.

This is the fix for `lost_update_threads`.
"""

import asyncio
import threading
import time

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import AwaitStack, NoFinding, NoSlowCallback, NotSeenYet, TaskEnded, Waiting

SAMPLE = Sample(
    name="lost_update_threads_locked",
    topic="synchronization",
    sentence="Four executor threads read a balance, wait, and write it back under a threading.Lock.",
    fix=None,
    expectations=(
        Waiting(kind="executor", task="deposit-*", at_least=2),
        AwaitStack(task="deposit-*", through=("threads",)),
        TaskEnded(task="deposit-*", outcome="done", at_least=0.7, times=1),
        NotSeenYet(
            "which thread has the lock", because="a threading.Lock does not record its owner, and no task waits for it"
        ),
        NoSlowCallback(),
        NoFinding(),
    ),
)


class Account:
    """So much money, and a lock for the threads that change it."""

    def __init__(self) -> None:
        self.money = 0
        self.lock = threading.Lock()

    def deposit(self) -> None:
        """Pay in one, in a thread."""
        with self.lock:
            money = self.money
            time.sleep(0.2)
            self.money = money + 1


async def deposit(account: Account) -> None:
    """Have a thread pay in one."""
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
