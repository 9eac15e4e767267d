"""What the black box costs: `python -m benchmarks.blackbox [--tasks N ...] [--seconds S] [--rounds R]`.

Three programs run at the same time: two with a probe but no box (the A/A control) and one with a box. Each has N tasks
that make a step per second, and twenty tasks start and end per second. Printed are medians over the rounds: CPU time
as a share of a core, resident memory, and bytes written to the box per second.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from .processes import ROOT

WAYS = ("without", "without, again", "with")
WARM_UP = 5.0
PROGRAM = """
import asyncio, glob, json, os, sys, time

async def rests(number):
    while True:
        await asyncio.sleep(0.5 + number % 100 / 100)

async def request():
    await asyncio.sleep(0.3)

def figures():
    with open("/proc/self/statm", "rb") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    times = os.times()
    boxes = glob.glob(os.environ["LOOPTOP_DIR"] + "/*.box")
    written = sum(os.stat(path).st_blocks * 512 for path in boxes)
    return {"cpu": times.user + times.system, "rss": resident, "bytes": written, "at": time.monotonic()}

async def main(tasks, warm_up, seconds):
    kept = [asyncio.create_task(rests(number), name=f"rests-{number}") for number in range(tasks)]
    for span in (warm_up, seconds):
        until = time.monotonic() + span
        while time.monotonic() < until:
            asyncio.create_task(request())
            await asyncio.sleep(0.05)
        print(json.dumps(figures()), flush=True)
    os._exit(0)

asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
"""


def once(tasks: int, seconds: float) -> dict[str, dict[str, float]]:
    """The figures of one round, by way."""
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="looptop-") as name:
        programs = {}
        for number, way in enumerate(WAYS):
            folder = Path(name, str(number))
            folder.mkdir(mode=0o700)
            box = "" if way == "with" else "off"
            environ = {**os.environ, "LOOPTOP": "1", "LOOPTOP_DIR": str(folder), "LOOPTOP_BOX": box}
            command = [sys.executable, "-m", "probes", "-c", PROGRAM, str(tasks), str(WARM_UP), str(seconds)]
            programs[way] = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)
        for way, program in programs.items():
            out, _ = program.communicate()
            first, last = map(json.loads, out.splitlines())
            elapsed = last["at"] - first["at"]
            per_second = {name: (last[name] - first[name]) / elapsed for name in ("cpu", "bytes")}
            found[way] = {**per_second, "rss": last["rss"]}
    return found


def main() -> int:
    """Measure the cost of the box and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.blackbox", description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=[200, 5000])
    parser.add_argument("--seconds", type=float, default=20.0, help="of a round (20)")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print("| tasks | box | CPU (% of a core) | resident (MiB) | written (KiB/s) |")
    print("| --- | --- | --- | --- | --- |")
    for tasks in options.tasks:
        rounds = [once(tasks, options.seconds) for _ in range(options.rounds)]
        for way in WAYS:
            cpu, rss, written = (
                statistics.median(one[way][name] for one in rounds) for name in ("cpu", "rss", "bytes")
            )
            print(f"| {tasks:,} | {way} | {cpu * 100:.2f} | {rss / 2**20:.1f} | {written / 1024:.1f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
