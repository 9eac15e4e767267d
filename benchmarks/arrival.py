"""How long a program is held up when a viewer arrives: `python -m benchmarks.arrival [--tasks N] [--busy]`.

A program with N tasks at rest has a timer of 5 ms. Each kind of viewer arrives ten times, and each time the worst delay
of the timer is taken; `alone` is the same span of time without a viewer. `--busy` keeps the other core busy. A
percentile over the whole run would hide an arrival, so each is measured by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING

from .processes import ROOT, ask, end

if TYPE_CHECKING:
    from collections.abc import Callable

SPAN = 2.5
"""Seconds from the start of an arrival until the worst delay is read."""
TIMES = 10
MOST = ", 99.9 %"
LOOPTOP = [sys.executable, "-m", "monitor"]


def alone(_pid: int) -> None:
    """Do nothing: the control without a viewer."""
    time.sleep(SPAN)


def tasks(pid: int) -> None:
    """`looptop tasks PID --json`."""
    subprocess.run([*LOOPTOP, "tasks", str(pid), "--json"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)


def watch(pid: int) -> None:
    """Run `looptop watch PID` until its first lines are out."""
    command = [*LOOPTOP, "watch", str(pid), "--json", "--duration", str(SPAN)]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)


def dashboard(pid: int) -> None:
    """`looptop attach PID` in a terminal."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    process = subprocess.Popen(
        [*LOOPTOP, "attach", str(pid)], cwd=ROOT, env=environ, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    reader = threading.Thread(target=_drain, args=(ours,), daemon=True)
    reader.start()
    time.sleep(SPAN + 1.0)
    process.kill()
    process.wait()
    reader.join(5)
    os.close(ours)


def _drain(terminal: int) -> None:
    try:
        while os.read(terminal, 1 << 16):
            pass
    except OSError:
        return


WAYS: dict[str, Callable[[int], None]] = {"alone": alone, "tasks --json": tasks, "watch": watch, "dashboard": dashboard}


def measure(number: int, ways: list[str], times: int) -> dict[str, list[float]]:
    """The worst delay (ms) of each arrival, by way, and its 99.9th percentile by way and `, 99.9 %`."""
    with tempfile.TemporaryDirectory(prefix="looptop-") as folder:
        return _measure(number, ways, times, folder)


def _measure(number: int, ways: list[str], times: int, folder: str) -> dict[str, list[float]]:
    os.environ["LOOPTOP_DIR"] = folder
    command = [sys.executable, "-m", "benchmarks.crowd_app", "probe", str(number), "0", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    found: dict[str, list[float]] = {name: [] for way in ways for name in (way, f"{way}{MOST}")}
    try:
        ask(process)
        time.sleep(2.0)
        for _ in range(times):
            for way in ways:
                time.sleep(0.5)
                ask(process, "look")
                WAYS[way](process.pid)
                late = json.loads(ask(process, "look"))["late"]
                found[way].append(late["1"] * 1000)
                found[f"{way}{MOST}"].append(late["0.999"] * 1000)
    finally:
        end(process)
    return found


def main() -> None:
    """Measure every kind of arrival and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.arrival", description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, action="append", help="live tasks (20,000 and 100,000)")
    parser.add_argument("--way", action="append", choices=list(WAYS), help="one kind of viewer; may be given again")
    parser.add_argument("--times", type=int, default=TIMES, help=f"arrivals of each ({TIMES})")
    parser.add_argument("--busy", action="store_true", help="another process keeps a core busy")
    options = parser.parse_args()
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if options.busy else None
    try:
        print("| live tasks | way | median (ms) | worst (ms) | each |\n| --- | --- | --- | --- | --- |")
        for number in options.tasks or [20_000, 100_000]:
            for way, delays in measure(number, options.way or list(WAYS), options.times).items():
                each = " ".join(f"{delay:.1f}" for delay in delays)
                print(f"| {number:,} | {way} | {statistics.median(delays):.1f} | {max(delays):.1f} | {each} |")
    finally:
        if hog is not None:
            hog.kill()


if __name__ == "__main__":
    main()
