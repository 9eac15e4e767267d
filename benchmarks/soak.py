"""Shows that a probe that remembers does not grow: `python -m benchmarks.soak [--seconds S]` (`make soak`).

A program with a probe and nobody connected starts and ends tasks at known creation sites, some of which fail or are
slow. Printed are its resident memory and the bytes of the history, ten times over the given time; the last half must
not have grown by more than 1 MiB, and the history never be larger than its limit. Slow callbacks come so often that the
journal holds as many of them as it may before the last half begins.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from probes.history.recorder import LIMIT

from .processes import ROOT

GROWN = 1 << 20
PROGRAM = """
import asyncio, json, sys, time
import probes

probe = probes.install(slow=0.01)

async def work(fails):
    await asyncio.sleep(0)
    if fails:
        raise ValueError("planned")

async def main(seconds):
    for tenth in range(10):
        until = time.monotonic() + seconds / 10
        number = 0
        while time.monotonic() < until:
            number += 1
            await asyncio.gather(*[work(n == 0) for n in range(20)], return_exceptions=True)
            await asyncio.sleep(0.005)
            if number % 10 == 0:
                time.sleep(0.02)
        with open("/proc/self/statm", "rb") as file:
            resident = int(file.read().split()[1]) * 4096
        figures = {"rss": resident, "history": probe.history.size(), "records": len(probe.sampler.by_id)}
        print(json.dumps(figures), flush=True)

asyncio.run(main(float(sys.argv[1])))
"""


def measure(seconds: float) -> list[dict[str, int]]:
    """Read the figures of the program ten times."""
    import json

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(seconds)], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> int:
    """Prints the figures; returns 1 if memory grew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (600)")
    found = measure(parser.parse_args().seconds)
    for figures in found:
        print(f"rss {figures['rss'] / 2**20:.1f} MiB, history {figures['history']} B, live tasks {figures['records']}")
    grown = found[-1]["rss"] - found[4]["rss"]
    print(f"grown in the last half: {grown / 1024:.0f} KiB")
    history = max(figures["history"] for figures in found)
    print(f"history: at most {history} B of {LIMIT} B")
    return int(grown > GROWN or history > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
