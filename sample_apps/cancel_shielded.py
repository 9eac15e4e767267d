"""Shielding from cancellation: the guest leaves, but a payment that has begun is completed.

What you see: `guest-*` tasks that are cancelled, and their child tasks `payment-*`, which are done nonetheless,
after the guest has gone. While both live, the guest waits for a task behind a shield.
"""

import asyncio
import itertools

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import (
    AwaitStack,
    Child,
    NoFinding,
    NoSlowCallback,
    NoTaskEnded,
    NoUnhandled,
    TaskEnded,
    Waiting,
)

SAMPLE = Sample(
    name="cancel_shielded",
    topic="tasks",
    sentence="Guests are cancelled while they pay; the payments are shielded and completed.",
    fix=None,
    expectations=(
        TaskEnded(task="guest-*", outcome="cancelled", at_most=0.3, times=3),
        TaskEnded(task="payment-*", outcome="done", at_least=0.3, times=3),
        NoTaskEnded(task="payment-*", outcome="cancelled"),
        Child(task="payment-*", parent="guest-*"),
        Waiting(kind="task", task="guest-*", at_least=1),
        AwaitStack(task="guest-*", through=("shields",)),
        NoUnhandled(),
        NoSlowCallback(),
        NoFinding(),
    ),
)


async def pay() -> str:
    """What must not be left half done."""
    await asyncio.sleep(0.35)
    return "paid"


async def guest(number: int, payments: set[asyncio.Task[str]]) -> str:
    """Pay, but do not stay for it at any price."""
    payment = asyncio.create_task(pay(), name=f"payment-{number}")
    payments.add(payment)  # a shield keeps no task alive: somebody has to
    payment.add_done_callback(payments.discard)
    return await asyncio.shield(payment)  # expect: shields


async def main(_: Options) -> None:
    """Let guests come, and call them away."""
    payments: set[asyncio.Task[str]] = set()
    try:
        for number in itertools.count():
            task = asyncio.create_task(guest(number, payments), name=f"guest-{number}")
            await asyncio.sleep(0.2)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            print(f"guest {number} has gone, {len(payments)} payments go on")
            await asyncio.sleep(0.1)
    finally:
        await asyncio.gather(*payments)


if __name__ == "__main__":
    run(main, SAMPLE)
