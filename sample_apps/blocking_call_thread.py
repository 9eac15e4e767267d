"""Blocking calls in threads: the calls of `blocking_call`, while the loop stays free.

What you see: `napper`, `client`, `reader` and `resolver` wait, each on an executor; no slow callback, and
`heartbeat` is on time. (The executor of `to_thread` has a few more threads than the machine has CPUs:
see `executor_small` for what happens when all are busy.)
"""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

from sample_apps.blocking_call import ask, nap, read_config, resolve, slow_name_server, slow_server
from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import heartbeat
from sample_apps.entry import Options, run
from sample_apps.vocabulary import LoopLag, NoFinding, NoSlowCallback, Waiting

SAMPLE = Sample(
    name="blocking_call_thread",
    topic="slowness",
    sentence="Coroutines run their blocking calls in threads, and the loop stays free.",
    fix=None,
    expectations=(
        NoSlowCallback(),
        Waiting(kind="executor", task="napper", at_least=1),
        Waiting(kind="executor", task="client", at_least=1),
        Waiting(kind="executor", task="reader", at_least=1),
        Waiting(kind="executor", task="resolver", at_least=1),
        LoopLag(at_most=0.3),
        NoFinding(),
    ),
)


async def again_and_again(call: Callable[..., object], *arguments: object) -> None:
    """Have a thread make a call that blocks, with short rests."""
    while True:
        await asyncio.to_thread(call, *arguments)
        await asyncio.sleep(0.07)


async def main(_: Options) -> None:
    """Start what is slow, and those who would block."""
    with tempfile.TemporaryDirectory() as folder:
        async with asyncio.TaskGroup() as group:
            group.create_task(heartbeat(), name="heartbeat")
            group.create_task(again_and_again(nap), name="napper")
            group.create_task(again_and_again(ask, slow_server()), name="client")
            group.create_task(again_and_again(read_config, Path(folder)), name="reader")
            group.create_task(again_and_again(resolve, "www.example.org", slow_name_server()), name="resolver")


if __name__ == "__main__":
    run(main, SAMPLE)
