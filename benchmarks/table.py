"""How long a key press takes to be seen with 50,000 live tasks: `python -m benchmarks.table [--tasks N] [--quick]`.

The real dashboard runs in a pseudo-terminal on a simulated program whose ticks arrive four times a second as lines of
the protocol, decoded in a thread like those of a live connection; one task in ten changes with each tick. Keys are
typed into the terminal, and a press counts as seen when the cursor mark is at its new place in a terminal emulator.
Quick presses arrive while the order of the rows is held; slow ones at any moment, also during a sort.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import pty
import random
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from typing import Any

import pyte

from monitor.protocol import frames
from monitor.protocol.rows import LoopStaticRow, TaskStaticRow
from monitor.sources.base import Status
from probes.base import protocol

HZ = 4.0
COLUMNS, LINES = 120, 40
SHARE = 10  # one in so many changes with each tick
FIRST_ROW, LAST_ROW = 5, LINES - 2  # where the table has its rows
START = 1_763_700_000_000_000
SITES = 40
PATIENCE = 10.0


class Crowd:
    """A simulated source: one in ten of its tasks changes four times a second."""

    def __init__(self, tasks: int) -> None:
        self.status = Status("connected", "", time.time())
        self._tasks = tasks
        self._ready: list[frames.Frame] = []
        self._lock = threading.Lock()
        self._random = random.Random(7)
        self._bodies = [self._body() for _ in range(12)]
        self._stop = threading.Event()

    def _body(self) -> str:
        ids = self._random.sample(range(1, self._tasks + 1), self._tasks // SHARE)
        rows = [
            (
                number,
                self._random.choice((1, 2, 2, 2)),
                self._random.randrange(9_999),
                self._random.randrange(10**7),
                12,
                90,
            )
            for number in ids
        ]
        return json.dumps(rows, separators=(",", ":"))

    def start(self) -> None:
        """Sends hello and all tasks, and starts the ticks."""
        facts: dict[str, Any] = {
            "protocol": protocol.PROTOCOL,
            "session": "s",
            "pid": 1,
            "started": START,
            "opened": START,
        }
        hello = frames.Hello(**facts, now=START, name="crowd", program="crowd", python=platform.python_version())
        strings = ["too many", "/srv/crowd.py", "handle"]
        sites = [(0, 0, 0), *((1, line, 2) for line in range(1, SITES))]
        self._put(
            hello,
            frames.Static(
                strings=frames.Strings(from_=0, items=strings),
                sites=frames.Sites(from_=0, items=sites),
                loops=[LoopStaticRow(1, "asyncio", 1, "MainThread")],
            ),
        )
        for first in range(1, self._tasks + 1, 5_000):
            ids = range(first, min(first + 5_000, self._tasks + 1))
            rows = [TaskStaticRow(n, f"handler-{n}", 2, 1, START, None, n // 50, n % SITES, 0) for n in ids]
            self._put(frames.Static(tasks=rows))
        threading.Thread(target=self._tick, daemon=True).start()

    def _put(self, *more: frames.Frame) -> None:
        with self._lock:
            self._ready.extend(more)

    def _tick(self) -> None:
        step = 0
        while not self._stop.wait(1 / HZ):
            step += 1
            at = START + int(step * 1e6 / HZ)
            loop = f"[[1,{300 + step % 700},{step * 100_000},3,9,{step * 5_000},null,0]]"
            line = f'{{"type":"tick","at":{at},"tasks":{self._bodies[step % len(self._bodies)]},"loops":{loop}}}'
            frame = frames.decode(line.encode())
            if frame is not None:
                self._put(frame)

    def frames(self) -> list[frames.Frame]:
        """The frames since the last call."""
        with self._lock:
            taken, self._ready = self._ready, []
        return taken

    def watch(self, **what: Any) -> None:
        """Ignored: there is no probe."""

    def request(self, op: str, **arguments: Any) -> int:
        """Ignored: there is no probe to reply."""
        return 0

    def close(self) -> None:
        """End the thread that makes ticks, at its next one."""
        self._stop.set()


class Terminal:
    """The dashboard in a pseudo-terminal, drawn into a terminal emulator."""

    def __init__(self, tasks: int) -> None:
        self.screen = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.ByteStream(self.screen)
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        environment.pop("NO_COLOR", None)
        command = [sys.executable, "-m", "benchmarks.table", "--inside", "--tasks", str(tasks)]
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self.bytes = 0

    def read(self, seconds: float) -> None:
        """Draws what arrives within that time."""
        if select.select([self.master], [], [], max(seconds, 0.0))[0]:
            try:
                data = os.read(self.master, 1 << 16)
            except OSError:  # the other end is closed: it has left
                time.sleep(seconds)
                return
            self.bytes += len(data)
            self._stream.feed(data)

    def cursor_row(self) -> int | None:
        """The line of the cursor mark."""
        rows = (y for y in range(FIRST_ROW, LAST_ROW + 1) if self.screen.buffer[y][0].data == "▌")
        return next(rows, None)

    def wait(self, seconds: float, until: int | None = None) -> float | None:
        """Draws until the mark is on a line; returns the seconds that took, or None if it never was."""
        began = time.perf_counter()
        while (left := began + seconds - time.perf_counter()) > 0:
            self.read(min(left, 0.25))
            if until is not None and self.cursor_row() == until:
                return time.perf_counter() - began
        return None

    def press(self, key: str, row: int) -> float:
        """Press a key; return the seconds until the mark was on the line."""
        os.write(self.master, key.encode())
        took = self.wait(PATIENCE, row)
        if took is None:
            raise SystemExit(f"{key!r} was never seen:\n" + "\n".join(self.screen.display))
        return took

    def close(self) -> int:
        """Quits with the key q."""
        os.write(self.master, b"q")
        self.wait(1.0)
        try:
            return self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def percentiles(seconds: list[float]) -> str:
    """Median, 95th percentile and the worst, in milliseconds."""
    ordered = sorted(seconds)
    at = [ordered[min(int(share * len(ordered)), len(ordered) - 1)] * 1000 for share in (0.5, 0.95)]
    return f"median {at[0]:.0f} ms, 95th percentile {at[1]:.0f} ms, worst {ordered[-1] * 1000:.0f} ms of {len(ordered)}"


def measure(tasks: int, quick: int, slow: int) -> None:
    """Type keys into tables of `tasks` rows and print the repaint times."""
    dice = random.Random(3)
    terminal = Terminal(tasks)
    if terminal.wait(60, FIRST_ROW) is None:
        raise SystemExit("no dashboard came:\n" + "\n".join(terminal.screen.display))
    while f"tasks {tasks}" not in terminal.screen.display[1]:
        terminal.read(1)
    terminal.wait(3)
    cpu_before, bytes_before, began = _cpu(terminal.process.pid), terminal.bytes, time.perf_counter()
    terminal.wait(5)
    elapsed = time.perf_counter() - began
    cpu = (_cpu(terminal.process.pid) - cpu_before) / elapsed
    drawn = (terminal.bytes - bytes_before) / elapsed
    took: dict[str, list[float]] = {"quick": [], "slow": []}
    for kind, presses in (("quick", quick), ("slow", slow)):
        row = FIRST_ROW
        terminal.press("g", row) if terminal.cursor_row() != row else None
        for number in range(presses):
            terminal.wait(dice.uniform(0.02, 0.15) if kind == "quick" else dice.uniform(2.1, 3.3))
            row = terminal.cursor_row() or row
            if number % 10 == 9:
                key, row = ("G", LAST_ROW) if row != LAST_ROW else ("g", FIRST_ROW)
            elif row < LAST_ROW and number % 10 < 7:
                key, row = "j", row + 1
            else:
                key, row = ("k", row - 1) if row > FIRST_ROW else ("j", row + 1)
            took[kind].append(terminal.press(key, row))
    memory = _rss(terminal.process.pid)
    status = terminal.close()
    cores = os.cpu_count()
    print(f"{tasks} live tasks, {HZ:g} updates a second, one task in {SHARE} changed by each, {COLUMNS}x{LINES}")
    print(f"  key to repaint, quick presses: {percentiles(took['quick'])}")
    if took["slow"]:
        print(f"  key to repaint, slow presses:  {percentiles(took['slow'])}")
    print(f"  at rest: {cpu * 100:.0f} % of one core, {drawn / 1000:.1f} kB/s drawn, {memory} MiB; left with {status}")
    print(f"  {platform.python_implementation()} {platform.python_version()}, {platform.machine()}, {cores} cores")


def _cpu(pid: int) -> float:
    import psutil

    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _rss(pid: int) -> int:
    import psutil

    return int(psutil.Process(pid).memory_info().rss >> 20)


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", type=int, default=50_000)
    parser.add_argument("--quick", action="store_true", help="fewer presses")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        from monitor.tui import run_dashboard

        sys.exit(run_dashboard(Crowd(arguments.tasks), hz=HZ))
    measure(arguments.tasks, *((60, 4) if arguments.quick else (200, 30)))


if __name__ == "__main__":
    main()
