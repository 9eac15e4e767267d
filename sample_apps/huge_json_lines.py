"""A huge report as lines of JSON: the rows of `huge_json`, five hundred at a time, with pauses for other tasks.

What you see: no slow callback and a `heartbeat` that is on time, although the loop is about as busy as
before: `exporter` works in slices of a few milliseconds. The reader can start with the first row,
and neither side needs memory for all of it.
"""

import asyncio
import json
import random
from typing import Any

from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import heartbeat
from sample_apps.entry import Options, run
from sample_apps.huge_json import report
from sample_apps.vocabulary import LoopLag, NoFinding, NoSlowCallback, StepRate, Utilization

SAMPLE = Sample(
    name="huge_json_lines",
    topic="slowness",
    sentence="A task turns 400,000 rows into JSON, five hundred lines at a time, and other tasks run in between.",
    fix=None,
    expectations=(
        NoSlowCallback(),
        StepRate(task="exporter", at_least=10),
        Utilization(at_least=0.03),
        LoopLag(at_most=0.3),
        NoFinding(),
    ),
)


async def exporter(rows: list[dict[str, Any]]) -> None:
    """Export the report repeatedly."""
    while True:
        await asyncio.sleep(0.4)
        characters = 0
        for number, row in enumerate(rows):
            characters += len(json.dumps(row)) + 1
            if number % 500 == 499:
                await asyncio.sleep(0.01)
        print(f"{characters} characters")


async def main(options: Options) -> None:
    """Start the exporter and the heartbeat."""
    rows = report(random.Random(options.seed))
    async with asyncio.TaskGroup() as group:
        group.create_task(heartbeat(), name="heartbeat")
        group.create_task(exporter(rows), name="exporter")


if __name__ == "__main__":
    run(main, SAMPLE)
