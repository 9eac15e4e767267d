"""The module of `late_import`, imported before the first request: in a thread, while the loop starts up.

What you see: no slow callback. (At the top of the file would do as well. A thread keeps the GIL for 5 ms at a time
while it imports, so the loop goes on.)
"""

import asyncio
import importlib
import sys
import tempfile
from pathlib import Path

from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import heartbeat
from sample_apps.entry import Options, run
from sample_apps.late_import import NAME, SOURCE
from sample_apps.vocabulary import NoSlowCallback

SAMPLE = Sample(
    name="late_import_early",
    topic="slowness",
    sentence="A module that takes half a second is imported in a thread, before the first request.",
    fix=None,
    expectations=(NoSlowCallback(over=0.15),),
    watch=3.0,
)


async def report() -> None:
    """Use the module, which is there already."""
    while True:
        await asyncio.sleep(0.4)
        importlib.import_module(NAME)


async def main(_: Options) -> None:
    """Make the module, import it, and start the tasks."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, f"{NAME}.py").write_text(SOURCE)
        sys.path.insert(0, folder)
        async with asyncio.TaskGroup() as group:
            group.create_task(heartbeat(), name="heartbeat")
            await asyncio.to_thread(importlib.import_module, NAME)
            group.create_task(report(), name="report")


if __name__ == "__main__":
    run(main, SAMPLE)
