r"""A regular expression that matches in one way only: the inputs of `regex_explodes`, without backtracking.

What you see: no slow callback. `\w+(\s\w+)*` requires a space between two words, so that there is only one way
to split a text into words; and input longer than any title is not even matched.
"""

import asyncio
import random
import re

from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import heartbeat
from sample_apps.entry import Options, run
from sample_apps.regex_explodes import EVIL, GOOD
from sample_apps.vocabulary import LoopLag, NoFinding, NoSlowCallback, StepRate, Utilization

SAMPLE = Sample(
    name="regex_linear",
    topic="slowness",
    sentence="A regular expression has one way to match a title, whatever the input.",
    fix=None,
    expectations=(
        NoSlowCallback(),
        StepRate(task="validator", at_least=5),
        Utilization(at_most=0.2),
        LoopLag(at_most=0.3),
        NoFinding(),
    ),
)
TITLE = re.compile(r"\w+(\s\w+)*\s?")
LONGEST = 200


async def validator(rng: random.Random) -> None:
    """Validate titles; one in ten is malicious."""
    checked = 0
    while True:
        text = EVIL if checked % 10 == 5 else GOOD
        if len(text) > LONGEST or not TITLE.fullmatch(text):
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
