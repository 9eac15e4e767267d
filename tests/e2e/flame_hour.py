"""Flame graphs for long (`make flames`): planted shares everywhere, and the memory of an hour of distinct stacks.

`python tests/e2e/flame_hour.py shares|memory`. Shares: each Python that is found, asyncio and uvloop where it has that,
with and without I/O, steps of 15 and 50 µs, alone and beside four processes that compute. Memory: 1,000 distinct stacks a second, 3.6 million,
through what the probe and a viewer keep.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "probes"), str(TESTS.parent)]

VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
SECONDS, UNDER_LOAD = 4.0, 15.0
"""Seconds of samples. Under load threads wait for a CPU in turn, often for 20 ms: that weighs much in four seconds."""
NEAR = 5.0
"""Points by which a share may be off."""
STACKS = 3_600_000
MOST_KIB = 150_000


def shares() -> int:
    """One line for each combination. Returns how many were off."""
    from interpreters import find_python

    bad = 0
    print(f"{'Python':8}{'loop':10}{'I/O':6}{'load':6}{'planted':>22}{'sampled':>22}{'cut (%)':>10}")
    for version in VERSIONS:
        python = find_python(version)
        if python is None:
            print(f"{version:8}not here")
            continue
        has_uvloop = not subprocess.run([python, "-c", "import uvloop"], capture_output=True).returncode
        for loop in ("asyncio", "uvloop") if has_uvloop else ("asyncio",):
            for io in ("no", "io", "short"):
                for load in (0, 4):
                    planted, sampled, cut = _under_load(load, python, loop, io)
                    off = max(abs(planted[name] - sampled.get(name, 0.0)) for name in planted)
                    bad += off > NEAR
                    rows = ("/".join(f"{part[name]:.1f}" for name in planted) for part in (planted, sampled))
                    line = (
                        f"{version:8}{loop:10}{io:6}{load:<6}" + "".join(f"{row:>22}" for row in rows) + f"{cut:>10.1f}"
                    )
                    print(line + ("  OFF" if off > NEAR else ""), flush=True)
    return bad


def _spin() -> None:
    while True:
        pass


def _under_load(load: int, python: str, loop: str, io: str) -> tuple[dict[str, float], dict[str, float], float]:
    spinners = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(load)]
    for one in spinners:
        one.start()
    try:
        return _planted_and_sampled(python, loop, io, UNDER_LOAD if load else SECONDS)
    finally:
        for one in spinners:
            one.kill()
            one.join()


def _planted_and_sampled(
    python: str, loop: str, io: str, seconds: float
) -> tuple[dict[str, float], dict[str, float], float]:
    import test_flame
    from watched import Program

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["LOOPTOP_DIR"] = str(folder / "run")
        with Program(test_flame.PLANTED, io, loop, folder=folder, python=python) as program:
            program.expect("ready")
            before = test_flame.spent(folder)
            with program.viewer(flame=1000) as viewer:
                viewer.until(
                    lambda: sum(test_flame.flames(viewer, "on_loop").values()) > seconds, "samples", timeout=120
                )
                after = test_flame.spent(folder)
                spent = {name: after[name] - before[name] for name in after}
                return test_flame.percentages(spent), test_flame.shares(viewer, spent), test_flame.not_read(viewer)


def memory() -> int:
    """Feeds what comes in an hour to a viewer's rows and to a store; says how much memory that took."""
    from monitor.protocol import frames
    from monitor.protocol.rows import OnLoopRow
    from monitor.store.flame import MOST_FRAMES, MOST_STACKS, FlameSamples
    from monitor.store.tables import Tables
    from probes.flame.on_loop import Drained
    from probes.serving.flame_rows import FlameRows
    from probes.serving.subscription import Watch

    watch = Watch(0.1)
    watch.flame = 1000
    rows, samples, tables = FlameRows(watch), FlameSamples(), Tables()
    names = ["?", *(f"name-{number}" for number in range(1000))]
    tables.add(frames.Strings(0, names), frames.Sites(0, [(1, number, number % 1000) for number in range(5000)]))
    began, told, lost = time.monotonic(), 0, 0
    for first in range(0, STACKS, 250):  # four looks a second
        found = Drained()
        for number in range(first, first + 250):
            stack = tuple(1 + (number // 5**depth * 7 + depth) % 4999 for depth in range(10))
            found.rows[number % 100_000 + 1, 1 + number % 40, 0, 1, stack] = [1000, 1]
        found.looks = 250
        rows.take(found, {}, 0)
        sent = rows.rows("") or {}
        told += len(sent["on_loop"])
        lost += sent.get("lost", 0)
        came = [OnLoopRow(*row) for row in sent["on_loop"]]
        samples.apply(frames.Flame(samples=sent["samples"], on_loop=came), first * 1e-3, tables)
        assert len(samples.on_loop) <= MOST_STACKS
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    held = samples.on_loop
    print(
        f"{told:,} stacks in {time.monotonic() - began:.0f} s, {lost} lost; kept: {len(held):,} stacks of {held.seconds:,.0f} s; "
        f"peak {peak / 1024:.0f} MiB (bound {MOST_KIB / 1024:.0f})"
    )
    whole = abs(held.seconds - told * 1e-3) < 1e-3 * told * 1e-3
    return int(peak > MOST_KIB or not whole or held._frames > MOST_FRAMES)


if __name__ == "__main__":
    sys.exit(1 if {"shares": shares, "memory": memory}[sys.argv[1]]() else 0)
