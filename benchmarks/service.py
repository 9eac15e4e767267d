"""What the Service screen costs: `python -m benchmarks.service [--workers N] [--tasks N] [--seconds S] [--press KEYS]`.

A parent has N workers with live tasks that sleep, run and end. `looptop attach PARENT` is opened on a terminal of
140×40, once on workers that have a probe and once on workers that have to be entered. Printed are the seconds until all
rows are painted (and the CPU time of that, which other load changes less), and until each has its figures; then, over S
seconds, the share of one core that the viewer uses, its memory and its descriptors.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]

from .processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = """
import asyncio, os, signal, sys

workers, tasks, with_probe = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "probe"

async def job(number):
    await asyncio.sleep(0.5 + number % 10 / 10)

async def renew(number):
    while True:
        await asyncio.create_task(job(number), name=f"job-{number}")

async def sleeper(number):
    while True:
        await asyncio.sleep(0.25 + number % 40 / 20)

async def main():
    pairs = tasks // 20  # a tenth of the tasks: one that lives for about a second, and the one that waits for it
    them = [asyncio.create_task(renew(number), name=f"renew-{number}") for number in range(pairs)]
    them += [asyncio.create_task(sleeper(number), name=f"sleeper-{number}") for number in range(tasks - 2 * pairs - 1)]
    os.write(1, b".")
    await asyncio.wait(them)

children = []
for _ in range(workers):
    child = os.fork()
    if not child:
        if with_probe:
            import probes
            probes.install()
        asyncio.run(main())
    children.append(child)
sys.stdin.read()
for child in children:
    os.kill(child, signal.SIGKILL)
for child in children:
    os.waitpid(child, 0)
"""
SIZE = (40, 140)
LONGEST = 300.0
SETTLE = 3.0
"""Seconds after the last row until the measurement begins."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds, share of one core, bytes. None: it never came to that."""

    way: str
    painted: float | None
    started: float  # seconds of CPU until then
    complete: float | None
    cpu: float
    rss: int
    descriptors: int
    load: float


class Terminal:
    """The viewer on a pseudo-terminal that is read all the time."""

    def __init__(self, pid: int) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
        self._seen: list[tuple[float, bytes]] = []
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "monitor", "attach", str(pid)],
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 1 << 16)
            except OSError:
                return
            self._seen.append((time.monotonic() - self.began, data))

    def when(self, text: str, within: float) -> float | None:
        """Wait for a text; return how many seconds after the start it came."""
        wanted, until = text.encode(), time.monotonic() + within
        number, rest = 0, b""
        while time.monotonic() < until:
            while number < len(self._seen):
                at, data = self._seen[number]
                number += 1
                if wanted in rest + data:
                    return at
                rest = (rest + data)[-len(wanted) :]
            time.sleep(0.01)
        return None

    def press(self, keys: str) -> None:
        """Send keys as if they were typed: `keys` are the bytes that a terminal would send."""
        os.write(self._ours, keys.encode())

    def close(self) -> None:
        """Quit the viewer with `q`, or kill it after 20 s."""
        self.press("q")
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(5)
        os.close(self._ours)


@contextmanager
def parent(workers: int, tasks: int, way: str) -> Iterator[int]:
    """A parent whose workers all run; its pid."""
    command = [sys.executable, "-c", PROGRAM, str(workers), str(tasks), way]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    try:
        for _ in range(workers):
            process.stdout.read(1)
        time.sleep(SETTLE)
        yield process.pid
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def measure(workers: int, tasks: int, seconds: float, way: str, keys: str = "") -> Figures:
    """Open the screen on workers that have a probe (`probe`) or get one (`entered`)."""
    with tempfile.TemporaryDirectory(prefix="looptop-") as folder:
        os.environ["LOOPTOP_DIR"] = folder
        with parent(workers, tasks, way) as pid:
            terminal = Terminal(pid)
            try:
                viewer = psutil.Process(terminal.process.pid)
                painted = terminal.when(f"{workers} workers", LONGEST)
                started = sum(viewer.cpu_times()[:2])
                complete = terminal.when("all answer", LONGEST)
                terminal.press(keys)
                time.sleep(SETTLE)
                before, began = sum(viewer.cpu_times()[:2]), time.monotonic()
                time.sleep(seconds)
                used = sum(viewer.cpu_times()[:2]) - before
                cpu = used / (time.monotonic() - began)
                memory, files = viewer.memory_info().rss, viewer.num_fds()
                return Figures(way, painted, started, complete, cpu, memory, files, os.getloadavg()[0])
            finally:
                terminal.close()


def main() -> None:
    """Measure both ways and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service", description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=64, help="processes (64)")
    parser.add_argument("--tasks", type=int, default=200, help="live tasks in each (200)")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long CPU is measured (20)")
    parser.add_argument("--way", action="append", choices=["probe", "entered"], help="one of them; may be given again")
    parser.add_argument("--press", default="", metavar="KEYS", help="keys after the screen is complete: 2 shows tasks")
    options = parser.parse_args()
    print("| workers | painted (s) | CPU for that (s) | complete (s) | viewer CPU | memory | descriptors | load |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for way in options.way or ["probe", "entered"]:
        one = measure(options.workers, options.tasks, options.seconds, way, options.press)
        painted, complete = ("–" if at is None else f"{at:.2f}" for at in (one.painted, one.complete))
        title = f"{options.workers} × {options.tasks} tasks, {'with a probe' if way == 'probe' else 'entered'}"
        cells = [title, painted, f"{one.started:.2f}", complete, f"{100 * one.cpu:.1f} %"]
        cells += [f"{one.rss / 2**20:.0f} MiB", str(one.descriptors), f"{one.load:.1f}"]
        print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
