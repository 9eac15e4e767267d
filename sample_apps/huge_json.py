"""One huge JSON document: a report of 400,000 rows becomes one string in one call, during which no other task runs.

What you see: slow callbacks of `exporter` at the line with `json.dumps`, a few tenths of a second each, and a
late `heartbeat`; after some seconds a finding that one task keeps the loop busy. It is one call into C
that holds the GIL all the time, so a thread would not help: the loop would stop just the same.

The fix: write the rows one by one and let other tasks run in between (`huge_json_lines`); or use another
process.
"""

import asyncio
import json
import random
from typing import Any

from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import heartbeat
from sample_apps.entry import Options, run
from sample_apps.vocabulary import Finding, LoopLag, SlowCallback

SAMPLE = Sample(
    name="huge_json",
    topic="slowness",
    sentence="A task turns 400,000 rows into JSON in one call, during which the loop stands still.",
    fix="huge_json_lines",
    expectations=(
        SlowCallback(task="exporter", line="dumps", at_least=0.11),
        LoopLag(at_least=0.1),
        Finding("loop_blocked", task="exporter", line="dumps"),
        Finding("task_busy", task="exporter", line="starts"),
    ),
    watch=10.0,  # a task must be busy for five seconds, in each of them
)


def report(rng: random.Random) -> list[dict[str, Any]]:
    """A report of 400,000 rows, of which only 1,000 differ, to save memory."""
    rows = [
        {"order": rng.randrange(10**6), "name": "Ada", "tags": ["a", "b"], "price": rng.random()} for _ in range(1000)
    ]
    return rows * 400


async def exporter(rows: list[dict[str, Any]]) -> None:
    """Export the report repeatedly."""
    while True:
        await asyncio.sleep(0.2)
        text = json.dumps(rows)  # expect: dumps
        print(f"{len(text)} characters")


async def main(options: Options) -> None:
    """Start the exporter and the heartbeat."""
    rows = report(random.Random(options.seed))
    async with asyncio.TaskGroup() as group:
        group.create_task(heartbeat(), name="heartbeat")
        group.create_task(exporter(rows), name="exporter")  # expect: starts


if __name__ == "__main__":
    run(main, SAMPLE)
