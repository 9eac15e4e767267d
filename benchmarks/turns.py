"""Lets workers take turns, and makes ratios of their CPU times.

Machines are noisy, so wall time is not used, and nothing is compared over minutes:

* Five workers do the same: two unwatched (their ratio is the A/A control), one with a probe and no viewer, one with a
  probe and a viewer, one with a viewer and the hooks in Python. Or one for each of the other tools.
  All are pinned to one core; viewers, HTTP load and this process have the other.
* Only one runs at a time, for a slice of some ten milliseconds; between its turns a worker is stopped (SIGSTOP).
  Some slices of each make a round, the order is shuffled each time, and a round gives one ratio per mode.
* Counted is the CPU time of the whole process from the end of its previous slice to the end of this one:
  with every thread of the probe, and nothing is lost between two slices.
* A worker runs a fifth of the time, so its viewer requests a fifth of the default rate, and everything else that the
  probe does at a rate is scaled likewise: four ticks for each second that the program really ran, each with as many
  changes as in a program that is never stopped.
* The placement of code and heap differs from process to process and is worth a percent or two. So the workers are
  restarted several times in a run (a crew serves for a few rounds), and each crew warms up uncounted, with
  empty tasks until the viewer's arrival is over, too.
"""

from __future__ import annotations

import json
import random
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import peers
from .processes import Skipped, ask, cores, end, spawn
from .works import Work

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

RATE = 4.0
"""Ticks per second that a viewer asks for by default."""
SLICES = 4
"""Slices of each worker in a round; together they are longer than the time between two ticks."""
WARM_UP = 5
"""Slices of each worker that are not counted; meanwhile the probe takes its first sample, once a second."""
PLAIN, CONTROL, UNWATCHED, WATCHED, PURE = MODES = ("plain", "control", "always on", "one viewer", "pure, one viewer")
BESIDE = (PLAIN, CONTROL, UNWATCHED, WATCHED, *peers.ALL)
"""The workloads for other tools."""


@dataclass
class Setup:
    """What is measured, and how long."""

    python: str = sys.executable
    uvloop: bool = False
    rounds: int = 30
    crews: int = 3
    slice_s: float = 0.06
    slices: int = SLICES
    modes: tuple[str, ...] = MODES
    share: float = len(MODES)
    """A worker runs one second out of this many."""


@dataclass
class Ratios:
    """The results of one workload: a ratio per round for each mode."""

    work: Work
    units: int
    per_round: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Modes that could not be measured, and why."""

    def add(self, spent: dict[str, float]) -> None:
        """Adds the CPU times of a round. Watched workers are compared with both plain ones, the control with one."""
        plain = (spent[PLAIN] + spent[CONTROL]) / 2
        for mode, seconds in spent.items():
            if mode != PLAIN:
                ratio = seconds / (spent[PLAIN] if mode == CONTROL else plain)
                self.per_round.setdefault(mode, []).append(ratio)
            self.cpu[mode] = self.cpu.get(mode, 0.0) + seconds

    def quartiles(self, mode: str) -> tuple[float, float, float]:
        """Lower quartile, median and upper quartile."""
        ratios = self.per_round[mode]
        if len(ratios) < 2:
            return (ratios[0],) * 3
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return low, middle, high


class Worker:
    """One worker process and, where a mode has one, its viewer. Stopped except in its turn."""

    def __init__(
        self, work: Work, mode: str, setup: Setup, directory: str, load: subprocess.Popen[bytes] | None
    ) -> None:
        measured, other = cores()
        inside = mode if mode in peers.INSIDE else "probe"
        if mode in (PLAIN, CONTROL, *peers.OUTSIDE):
            inside = "plain"
        loop = "uvloop" if setup.uvloop or work.uvloop else "asyncio"
        command = (setup.python, "-m", "benchmarks.worker", work.name, inside, loop)
        pure = "1" if mode == PURE else ""
        self._process = spawn(
            *command, core=measured, LOOPTOP_DIR=directory, LOOPTOP_PURE=pure, BENCH_SHARE=str(setup.share)
        )
        self._viewer: subprocess.Popen[bytes] | None = None
        self._load = load
        try:
            ready: dict[str, Any] = json.loads(ask(self._process))
            self.python: str = ready["python"]
            self._port = ready["port"]
            if mode in peers.OUTSIDE:
                self._viewer = spawn(*peers.outside(mode, self._process.pid), core=other)
            if mode in (WATCHED, PURE):
                socket = f"{directory}/{self._process.pid}.sock"
                rate = str(max(RATE / setup.share, 0.1))
                self._viewer = spawn(sys.executable, "-m", "benchmarks.viewer", socket, rate, core=other)
                ask(self._viewer)
        except BaseException:
            self.end()
            raise
        self._spent = 0.0
        self._stop()

    def _stop(self) -> None:
        time.sleep(0.001)  # until the loop is back in its select, no longer in the callback that answered
        self._process.send_signal(signal.SIGSTOP)

    def turn(self, units: int) -> float:
        """Runs one slice. Returns the CPU time (s) since the previous one."""
        self._process.send_signal(signal.SIGCONT)
        if self._load is not None:
            ask(self._load, f"{self._port} {units}")
            units = 0
        total: float = json.loads(ask(self._process, str(units)))["cpu"]
        self._stop()
        if self._viewer is not None and self._viewer.poll() is not None:
            raise RuntimeError("the viewer ended: the probe was removed, a hook is off, or the connection was refused")
        spent, self._spent = total - self._spent, total
        return spent

    def end(self) -> None:
        """End the worker, and its viewer if it has one."""
        end(self._process)
        if self._viewer is not None:
            end(self._viewer)


def _units_of_a_slice(worker: Worker, seconds: float) -> int:
    """The units that a plain worker does in one slice; all workers then do as many."""
    units = 100
    worker.turn(units)
    while (spent := worker.turn(units)) < seconds / 4:
        units *= 2
    return max(round(units * seconds / spent / 100), 1) * 100


def measure(work: Work, setup: Setup) -> tuple[Ratios, str]:
    """The ratios of one workload, and the version of Python. Raises Skipped."""
    result: Ratios | None = None
    missing: dict[str, str] = {}
    python = ""
    order = random.Random(1)  # the same order each time
    crews = min(setup.crews, setup.rounds)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        load = None
        if work.remote:
            load = spawn(sys.executable, "-m", "benchmarks.load", core=cores()[1])
        try:
            for crew in range(crews):
                workers: dict[str, Worker] = {}
                try:
                    for mode in order.sample(setup.modes, len(setup.modes)):
                        try:
                            workers[mode] = Worker(work, mode, setup, directory, load)
                        except (Skipped, OSError):
                            if mode not in peers.ALL:
                                raise
                            missing[mode] = "not installed"
                    python = workers[PLAIN].python
                    result = result or Ratios(work, _units_of_a_slice(workers[PLAIN], setup.slice_s))
                    result.missing = missing
                    for mode in (WATCHED, PURE):
                        for _ in range(work.arrival if mode in workers else 0):
                            workers[mode].turn(result.units)
                    _round(workers, result.units, order, WARM_UP)
                    for _ in range(crew, setup.rounds, crews):
                        result.add(_round(workers, result.units, order, setup.slices))
                finally:
                    for worker in workers.values():
                        worker.end()
        finally:
            if load is not None:
                end(load)
    assert result is not None
    return result, python


def _round(workers: dict[str, Worker], units: int, order: random.Random, slices: int) -> dict[str, float]:
    """Some slices of each worker, in turns; returns the CPU time of each."""
    spent = dict.fromkeys(workers, 0.0)
    for _ in range(slices):
        for mode in order.sample(list(workers), len(workers)):
            spent[mode] += workers[mode].turn(units)
    return spent


def measure_all(works: Sequence[Work], setup: Setup) -> tuple[list[Ratios], list[str]]:
    """The ratios of several workloads, and one line for each that could not be measured."""
    results, failures = [], []
    for work in works:
        try:
            result, python = measure(work, setup)
        except Skipped:
            failures.append(f"{work.name}: skipped, it needs a library that {setup.python} has not")
        except RuntimeError as error:
            failures.append(f"{work.name}: no figures: {error}")
        else:
            sys.stderr.write(f"{python} {work.name} {result.units} units a slice\n")
            results.append(result)
    return results, failures
