"""`python -m benchmarks`: measures what watching costs, and prints it or writes docs/cost.md."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

from . import crowds, instructions, processes, report, startup, turns
from .works import WORKS

TABLES = {
    **crowds.CROWDS,
    "start-up": startup.start_up,
    "keys": startup.keys,
    "instructions": instructions.instructions,
}
NAMES = [*WORKS, *TABLES]
COMPARED = ("tasks", "steps", "aiohttp")
"""The workloads for other tools."""
SLOWEST = 40.0
"""All other tools together take at least this many times the time of one plain worker."""


def main() -> None:
    """Measures what the arguments name."""
    options = _options()
    chosen = options.only or ([] if options.peers and not options.write else NAMES)
    works = [WORKS[name] for name in chosen if name in WORKS]
    many = [name for name in chosen if name in TABLES]
    loop = "uvloop" if options.uvloop else "asyncio"
    results = []
    for number, python in enumerate(options.python or [sys.executable]):
        # Not resolved: Python finds its virtual environment by the path it was started with.
        setup = turns.Setup(os.path.abspath(python), options.uvloop, options.rounds)  # noqa: PTH100
        result = report.Result(_version(setup.python), loop, *turns.measure_all(works, setup))
        if options.peers and number == 0:
            beside = turns.Setup(setup.python, options.uvloop, 4, 2, 0.02, 2, turns.BESIDE, SLOWEST)
            result.beside, failures = turns.measure_all([WORKS[name] for name in COMPARED], beside)
            result.failures += failures
        if many and number == 0:
            # Absolute figures that hardly depend on the Python: one is enough.
            result.tables = crowds.measure_all(many, TABLES, setup, crowds.Sizes())
        results.append(result)
    if options.write:
        (processes.ROOT / "docs" / "cost.md").write_text(report.markdown(results), encoding="utf-8")
    print(json.dumps(report.as_json(results), indent=1) if options.json else report.text(results))


def _version(python: str) -> str:
    command = [python, "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures what watching costs.")
    parser.add_argument("--only", action="append", choices=NAMES, help="one workload; may be given again")
    parser.add_argument("--rounds", type=int, default=30, help="ratios per work (30)")
    parser.add_argument(
        "--python", action="append", metavar="PATH", help="Python of the watched programs; may be given again"
    )
    parser.add_argument("--uvloop", action="store_true", help="on uvloop instead of asyncio's own loop")
    parser.add_argument("--peers", action="store_true", help="other tools as well, on the first Python")
    parser.add_argument("--json", action="store_true", help="every figure, as JSON")
    parser.add_argument("--write", action="store_true", help="write docs/cost.md")
    options = parser.parse_args()
    options.peers = options.peers or (options.write and not options.only)
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    return options


if __name__ == "__main__":
    main()
