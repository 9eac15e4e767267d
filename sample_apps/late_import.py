"""An import inside a function: the first request pays for it, and with it everybody else.

What you see: the first call of `report` blocks the loop at a line that looks like any other; the reason is an import.
(The module is made when the sample starts: it computes for half a second, as one that compiles a grammar or reads a
model does. A lazy import of Python 3.15 looks the same, at the line that first uses the name.)

The fix: import at the start, before the loop runs (`late_import_early`).
"""

import asyncio
import importlib
import sys
import tempfile
from pathlib import Path

from sample_apps.catalogue import Sample
from sample_apps.cpu_bound import heartbeat
from sample_apps.entry import Options, run
from sample_apps.vocabulary import SlowBecause, SlowCallback

SAMPLE = Sample(
    name="late_import",
    topic="slowness",
    sentence="A request imports a module that takes half a second, on its first call.",
    fix="late_import_early",
    expectations=(
        SlowCallback(task="report", line="imports", at_least=0.2),
        SlowBecause(line="imports", reason="import", at_least=0.6),
    ),
    watch=3.0,
)
NAME = "looptop_sample_grammar"
SOURCE = """
import time
until = time.thread_time() + 0.5
while time.thread_time() < until:
    sum(range(1000))
"""


async def report() -> None:
    """Import the module and forget it, so that each call is a first one."""
    while True:
        await asyncio.sleep(0.4)
        importlib.import_module(NAME)  # expect: imports
        sys.modules.pop(NAME)


async def main(_: Options) -> None:
    """Make the module, and start the tasks."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, f"{NAME}.py").write_text(SOURCE)
        sys.path.insert(0, folder)
        async with asyncio.TaskGroup() as group:
            group.create_task(heartbeat(), name="heartbeat")
            group.create_task(report(), name="report")


if __name__ == "__main__":
    run(main, SAMPLE)
