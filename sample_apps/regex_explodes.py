"""Catastrophic backtracking: for some inputs, a regular expression takes twice as long for each additional character.

What you see: slow callbacks of `validator` at the line with `match`, though most inputs take microseconds. It
is one call into C that holds the GIL: no thread helps, no timeout fires before it is over, and Ctrl+C has to
wait as well.

The fix: an expression that can match in one way only (`regex_linear`), and a limit on the length of untrusted
input.
"""

import asyncio
import random
import re

from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import heartbeat
from sample_apps.entry import Options, run
from sample_apps.vocabulary import LoopLag, SlowCallback

SAMPLE = Sample(
    name="regex_explodes",
    topic="slowness",
    sentence="A regular expression tries four million ways to match a title of 23 letters.",
    fix="regex_linear",
    expectations=(
        SlowCallback(task="validator", line="matches", at_least=0.11),
        LoopLag(at_least=0.1),
    ),
    watch=6.0,
)
TITLE = re.compile(r"(\w+\s?)*")  # each letter may end a word or not: exponentially many ways
GOOD, EVIL = "A tale of two cities", "a" * 23 + "!"


async def validator(rng: random.Random) -> None:
    """Validate titles; one in ten is malicious."""
    checked = 0
    while True:
        text = EVIL if checked % 10 == 5 else GOOD
        valid = TITLE.fullmatch(text)  # expect: matches
        if not valid:
            print(f"{text!r} is no title")
        checked += 1
        await asyncio.sleep(rng.uniform(0.03, 0.08))


async def main(options: Options) -> None:
    """Start the validator and the heartbeat."""
    async with asyncio.TaskGroup() as group:
        group.create_task(heartbeat(), name="heartbeat")
        group.create_task(validator(random.Random(options.seed)), name="validator")


if __name__ == "__main__":
    run(main, SAMPLE)
