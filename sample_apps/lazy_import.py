"""A lazy import (Python 3.15): the module is loaded where its name is used first, which is inside of a request.

What you see: the first `report` blocks the loop at a line that only calls a function; the reason is an import. (The
modules are made when the sample starts, and forgotten after each report. `__lazy_modules__` makes an import lazy as
the statement `lazy import` does, and older versions can read the file.)

The fix: use the name once before the loop runs, or do not make an import lazy that every request needs.
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
from sample_apps.vocabulary import SlowBecause, SlowCallback

SAMPLE = Sample(
    name="lazy_import",
    topic="slowness",
    sentence="A request is the first to use the name of a lazy import, whose module takes half a second.",
    fix="late_import_early",
    expectations=(
        SlowCallback(task="report", line="uses", at_least=0.2),
        SlowBecause(line="uses", reason="import", at_least=0.6),
    ),
    watch=3.0,
    python=(3, 15),
)
SHOP = "looptop_sample_shop"
SHOP_SOURCE = f"""
__lazy_modules__ = ["{NAME}"]
import {NAME}

def report():
    return {NAME}.until
"""


async def report() -> None:
    """Import the shop, which is quick, and have it report."""
    while True:
        await asyncio.sleep(0.4)
        shop = importlib.import_module(SHOP)
        shop.report()  # expect: uses
        for name in (SHOP, NAME):
            sys.modules.pop(name, None)


async def main(_: Options) -> None:
    """Make the modules, and start the tasks."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, f"{NAME}.py").write_text(SOURCE)
        Path(folder, f"{SHOP}.py").write_text(SHOP_SOURCE)
        sys.path.insert(0, folder)
        async with asyncio.TaskGroup() as group:
            group.create_task(heartbeat(), name="heartbeat")
            group.create_task(report(), name="report")


if __name__ == "__main__":
    run(main, SAMPLE)
