"""A thread that holds the GIL: the loop waits for it at lines that do next to nothing.

What you see: `reader` reads a small file now and then, and its steps are slow, mostly waiting for the GIL. The thread
`crunch` computes in one C call that does not release the GIL until it returns; the finding shows its line. The line
of `reader` is innocent, and in a thread it would wait just as long.

The fix: compute in another process (`cpu_bound_pool`).
"""

import asyncio
import random
import re
import threading
import time
from pathlib import Path

from sample_apps.catalogue import Sample
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, LoopLag, SlowBecause

SAMPLE = Sample(
    name="gil_hog",
    topic="slowness",
    sentence="A thread holds the GIL for 0.2 s at a time, and an innocent line of the loop waits for it.",
    fix="cpu_bound_pool",
    watch=15.0,
    expectations=(
        LoopLag(at_least=0.1),
        Finding("gil_wait", line="holds"),
        SlowBecause(line="reads", reason="gil", at_least=0.5),
    ),
)


def exploding() -> str:
    """A text for which the pattern below needs 0.2 s."""
    for length in range(16, 40):
        text = "a" * length + "b"
        began = time.thread_time()
        re.match("(a+)+$", text)
        if time.thread_time() - began > 0.2:
            break
    return text


def crunch(text: str) -> None:
    """Match repeatedly, each time in one C call."""
    while True:
        re.match("(a+)+$", text)  # expect: holds


def read() -> None:
    """Read a small file and give the GIL away, as reading a larger file does."""
    Path(__file__).read_bytes()
    time.sleep(0)


async def reader(rng: random.Random) -> None:
    """Read a small file a few times, with rests."""
    while True:
        for _ in range(3):
            read()  # expect: reads
        await asyncio.sleep(rng.uniform(0.01, 0.03))


async def main(options: Options) -> None:
    """Start the thread, and read."""
    text = await asyncio.to_thread(exploding)
    threading.Thread(target=crunch, args=(text,), name="crunch", daemon=True).start()
    await asyncio.create_task(reader(random.Random(options.seed)), name="reader")


if __name__ == "__main__":
    run(main, SAMPLE)
