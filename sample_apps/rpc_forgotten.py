"""Calls that will never be answered: the connection of `rpc_json` is lost, and the waiting tasks are not notified.

What you see: after a second `reader` and `connection-*` are gone, and `caller-0` to `caller-4` wait on
futures forever: no step, no timer, nothing slow, no failure. A future that will never be resolved
looks just like one that takes long; the difference is that no task is left that could resolve it, which the finding
says a few seconds later.

The fix: when reading ends, fail all pending calls (`lost` in `rpc_json`), and use a timeout for answers from
outside.
"""

import asyncio
import random

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.rpc_json import Client, caller, connect
from sample_apps.vocabulary import Finding, NoSlowCallback, NoUnhandled, StepRate, TaskEnded, Utilization, Waiting

SAMPLE = Sample(
    name="rpc_forgotten",
    topic="communication",
    sentence="A connection is lost, and the five tasks that wait for answers over it are never notified.",
    fix="rpc_json",
    expectations=(
        Waiting(kind="future", task="caller-*", at_least=1),
        Finding("never_wakes", task="caller-*"),
        TaskEnded(task="reader", outcome="done"),
        StepRate(task="caller-*", at_most=8),
        Utilization(at_most=0.2),
        NoSlowCallback(),
        NoUnhandled(),
    ),
    watch=15.0,
)


class Forgetful(Client):
    """A client that does not fail its pending calls."""

    def lost(self) -> None:
        """Leave the calls that wait for a reply as they are."""
        print("the connection is lost")


async def main(options: Options) -> None:
    """Start the server, connect to it, call, and lose the connection after a second."""
    rng = random.Random(options.seed)
    async with asyncio.TaskGroup() as group:
        client, writer = await connect(Forgetful, group)
        asyncio.get_running_loop().call_later(1, writer.close)
        for number in range(5):
            group.create_task(caller(client, rng), name=f"caller-{number}")


if __name__ == "__main__":
    run(main, SAMPLE)
