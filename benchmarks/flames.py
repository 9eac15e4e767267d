"""What sampling for flame graphs costs a program: `python -m benchmarks.flames [--rounds N] [--only NAME]`.

One program and one viewer, which in turn requests nothing, nothing again (the A/A control), samples at 100 Hz, at
1000 Hz, and what tasks wait for. Each time the program does the same work; the CPU time of the whole process is
measured, including the sampling thread. The order is shuffled in each round, and a round gives one ratio for each, to
the mean of both controls.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from typing import Any

from . import worker
from .processes import ask, cores, end, spawn
from .viewer import connect, lines, watch

NOTHING: dict[str, Any] = {"flame": 0, "flame_wait": False, "flame_jobs": False}
ASKED = {
    "nothing": NOTHING,
    "nothing again": NOTHING,
    "100 Hz": {**NOTHING, "flame": 100},
    "1000 Hz": {**NOTHING, "flame": 1000},
    "100 Hz and jobs": {**NOTHING, "flame": 100, "flame_jobs": True},
    "waiting": {**NOTHING, "flame_wait": True},
}
CONTROLS = ("nothing", "nothing again")
WORKS = {"computing": 0, "5,000 tasks at rest": 5000}


def _deep(depth: int) -> int:
    return _deep(depth - 1) if depth else sum(range(300))


async def _compute(steps: int) -> None:
    for _ in range(steps):
        for _ in range(20):
            _deep(8)
        await asyncio.sleep(0)


async def _rest() -> None:
    await asyncio.Event().wait()


async def _work(resting: int) -> None:
    tasks = [asyncio.create_task(_rest()) for _ in range(resting)]
    worker.answer(ready=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        until, units, began = time.monotonic() + float(line), 0, time.process_time()
        while time.monotonic() < until:
            await asyncio.gather(*(_compute(5) for _ in range(20)))
            units += 1
        worker.answer(each=(time.process_time() - began) / units)
    del tasks


def measure(resting: int, rounds: int, seconds: float, asked: list[str]) -> dict[str, list[float]]:
    """The ratios of each round, by what is asked for."""
    core, _ = cores()
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        command = (sys.executable, "-m", "benchmarks.flames", "--work", str(resting))
        process = spawn(*command, core=core, LOOPTOP_DIR=directory)
        try:
            ask(process)
            sock = connect(f"{directory}/{process.pid}.sock")
            threading.Thread(target=lambda: [None for _ in lines(sock)], daemon=True).start()
            watch(sock, rate=4, rows=False)
            ask(process, "1")
            for _ in range(rounds):
                spent = {}
                for name in random.sample(asked, len(asked)):
                    watch(sock, **ASKED[name])
                    ask(process, "4" if name == "waiting" else "0.3")  # until it is on
                    spent[name] = json.loads(ask(process, str(seconds)))["each"]
                control = statistics.mean(spent[name] for name in CONTROLS)
                for name, each in spent.items():
                    found.setdefault(name, []).append(each / control)
        finally:
            end(process)
    return found


def main() -> None:
    """Prints medians and quartiles; or runs the program that is measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flames")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.6)
    parser.add_argument("--only", choices=[name for name in ASKED if name not in CONTROLS], help="beside both controls")
    parser.add_argument("--work", type=int)
    options = parser.parse_args()
    if options.work is not None:
        import probes

        probes.install()
        asyncio.run(_work(options.work))
        return
    asked = [*CONTROLS, options.only] if options.only else list(ASKED)
    for title, resting in WORKS.items():
        print(title)
        for name, ratios in measure(resting, options.rounds, options.seconds, asked).items():
            low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
            print(f"  {name:16} {middle:.4f}  ({low:.4f} to {high:.4f})")


if __name__ == "__main__":
    main()
