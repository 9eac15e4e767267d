"""How long a person waits: for a command's first line, for the dashboard's first data, for the answer to a key.

Each is the median of several starts, by the clock on the wall, since that is what a person waits for: on a busy machine
these say how busy it is. The dashboard runs in a pseudo terminal. Keys are pressed while it is paused, so that whatever
it then writes is the answer.

`python -m benchmarks.startup` prints only the CPU time of commands, which a busy machine changes less.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import select
import statistics
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Protocol

from .crowds import App, Table
from .processes import ROOT
from .turns import Setup

if TYPE_CHECKING:
    from .crowds import Sizes


FEW = 50
"""Tasks of the watched program."""
LIMITS = {"--help": 0.12, "tasks": 0.25, "first data": 0.7, "key": 0.1}
CPU_LIMITS = {"--version": 0.06, "tasks @NAME": 0.15}
KEYS = {
    "down": (b"\x1b[B", b""),
    "last row": (b"G", b"g"),
    "first row": (b"g", b"G"),
    "invert the order": (b"i", b""),
    "next view": (b"t", b""),
}
"""Each with the key to press before it, so that it has an effect."""
PLACE = re.compile(rb"\x1b\[(\d+);\d+H")
FIRST_ROW = 7
"""Line of the screen. Above are the header, whose clocks run on, the tabs and the titles."""


class Watched(Protocol):
    """A program and where its probe is found."""

    @property
    def pid(self) -> int:
        """The pid of the program."""

    @property
    def directory(self) -> str:
        """The program's own LOOPTOP_DIR."""


class Dashboard:
    """`looptop attach` in a pseudo terminal."""

    def __init__(self, app: Watched) -> None:
        pid, self._terminal = pty.fork()
        if pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
            environ = {**installed(app), "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
            os.execve(sys.executable, [sys.executable, "-m", "monitor", "attach", str(app.pid)], environ)
        self._pid = pid

    def until(self, text: bytes, within: float = 20.0) -> None:
        """Reads until a text has been drawn."""
        seen = b""
        end = time.monotonic() + within
        while text not in seen:
            seen = seen[-100:] + self._read(end - time.monotonic())

    def _read(self, within: float) -> bytes:
        if not select.select([self._terminal], [], [], max(within, 0.0))[0]:
            raise RuntimeError("the dashboard shows nothing")
        return os.read(self._terminal, 65536)

    def quiet(self, seconds: float = 0.3) -> None:
        """Reads until nothing more is drawn, for three seconds at most: a clock may run on."""
        end = time.monotonic() + 3.0
        while time.monotonic() < end and select.select([self._terminal], [], [], seconds)[0]:
            os.read(self._terminal, 65536)

    def pause(self) -> float:
        """Seconds from the key to the word PAUSED."""
        self.quiet()
        started = time.monotonic()
        self.press(b" ")
        self.until(b"PAUSED")
        return time.monotonic() - started

    def answer(self, key: bytes, before: bytes = b"") -> float:
        """Seconds from a key to the first change below the lines where clocks run on."""
        if before:
            self.quiet()
            self.press(before)
        self.quiet()
        seen, end = b"", time.monotonic() + 20.0
        started = time.monotonic()
        self.press(key)
        while not any(int(place) >= FIRST_ROW for place in PLACE.findall(seen)):
            seen += self._read(end - time.monotonic())
        return time.monotonic() - started

    def press(self, key: bytes) -> None:
        """Send a key to the terminal."""
        os.write(self._terminal, key)

    def close(self) -> None:
        """Kill the dashboard and close its terminal."""
        os.kill(self._pid, 9)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)


def installed(app: Watched) -> dict[str, str]:
    """An environment in which Python keeps compiled files, as it does for installed packages."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**environ, "LOOPTOP_DIR": app.directory, "PYTHONPYCACHEPREFIX": f"{app.directory}/compiled"}


def start_up(setup: Setup, sizes: Sizes) -> Table:
    """How long commands take, and the dashboard until its first data is on the screen."""
    table = Table("start-up", "How long a command takes", ["what", "median", "fastest", "target"])
    table.note = (
        f"By the clock on the wall, {sizes.starts} starts each after one in which Python compiles; the program that is "
        f"looked at has {FEW} tasks."
    )
    with App(setup, FEW, 5) as app:
        commands = {
            "python -c pass": ("", [sys.executable, "-c", "pass"]),
            "looptop --help": ("--help", [sys.executable, "-m", "monitor", "--help"]),
            "looptop tasks PID": ("tasks", [sys.executable, "-m", "monitor", "tasks", str(app.pid)]),
            "looptop tasks PID --json": ("tasks", [sys.executable, "-m", "monitor", "tasks", str(app.pid), "--json"]),
        }
        for name, (limit, command) in commands.items():
            took = []
            for _ in range(sizes.starts + 1):
                started = time.monotonic()
                subprocess.run(command, cwd=ROOT, env=installed(app), stdout=subprocess.DEVNULL, check=True)
                took.append(time.monotonic() - started)
            _row(table, f"`{name}`", took[1:], limit)
        took = [first_data(app) for _ in range(sizes.starts + 1)]
        _row(table, "`looptop attach PID`, first data on the screen", took[1:], "first data")
    return table


def first_data(app: Watched) -> float:
    """Seconds from the command to the first task on the screen."""
    started = time.monotonic()
    dashboard = Dashboard(app)
    try:
        dashboard.until(b"crowd_app.py")
        return time.monotonic() - started
    finally:
        dashboard.close()


def keys(setup: Setup, sizes: Sizes) -> Table:
    """How soon the dashboard responds with very many tasks."""
    title = f"The dashboard on a program with {sizes.crowd:,} tasks"
    table = Table("keys", title, ["what", "median", "fastest", "target"])
    table.note = (
        "From a key to the first thing that is drawn for it, five times each. All but the pause are pressed while it "
        "is paused, so that what changes in the table is the answer."
    )
    with App(setup, sizes.crowd, sizes.crowd // 100) as app:
        _row(table, "first data on the screen", [first_data(app) for _ in range(4)][1:], "")
        dashboard = Dashboard(app)
        try:
            time.sleep(6.0)  # all tasks have come
            took = [dashboard.pause()]
            for _ in range(4):
                dashboard.press(b" ")
                took.append(dashboard.pause())
            _row(table, "pause", took, "key")
            for name, (key, before) in KEYS.items():
                _row(table, name, [dashboard.answer(key, before) for _ in range(5)], "key")
        finally:
            dashboard.close()
    return table


def _row(table: Table, what: str, took: list[float], limit: str) -> None:
    median = statistics.median(took)
    reach = LIMITS.get(limit)
    table.rows.append(
        [
            what,
            f"{median * 1e3:.0f} ms",
            f"{min(took) * 1e3:.0f} ms",
            "–" if reach is None else f"≤ {reach * 1e3:.0f} ms",
        ]
    )
    if reach is not None:
        table.check(f"{what} (s)", median, reach)


def cpu_time(command: list[str], environ: dict[str, str]) -> float:
    """Seconds of CPU that a command takes, user and system."""
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with status {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print the CPU time of commands."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description="CPU time of commands.")
    parser.add_argument("--starts", type=int, default=15, help="of each command (15)")
    starts: int = parser.parse_args().starts
    looptop = [sys.executable, "-m", "monitor"]
    with App(Setup(), FEW, 5) as app:
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "--version": [*looptop, "--version"],
            "--help": [*looptop, "--help"],
            "tasks @NAME": [*looptop, "tasks", "@benchmarks.crowd_app"],
            "tasks @NAME --json": [*looptop, "tasks", "@benchmarks.crowd_app", "--json"],
        }
        took: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(starts + 1):
            for name, command in commands.items():
                took[name].append(cpu_time(command, installed(app)))
    print("| command | CPU, median (ms) | fastest | target |\n| --- | --- | --- | --- |")
    for name, (_, *times) in took.items():  # the first one compiles
        limit = f"≤ {CPU_LIMITS[name] * 1e3:.0f}" if name in CPU_LIMITS else "–"
        print(f"| {name} | {statistics.median(times) * 1e3:.0f} | {min(times) * 1e3:.0f} | {limit} |")


if __name__ == "__main__":
    main()
