"""What attaching costs a program: `python -m benchmarks.attach [times] [cpu] [--python PATH …] [--rounds N]`.

* **times**: attaching to a program of 50 tasks and a timer of 1 ms, and leaving. How long one of its threads was
  stopped, the worst delay of its timer and its CPU time, beside the same span left alone; how soon data is shown.
* **cpu**: an aiohttp server under load, CPU time a request: attached to with hooks in C and in Python, over the same
  process left alone before; the turns in which it is left alone again are the A/A control.

Rows of Markdown. The second needs aiohttp on the Python that is watched.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

from monitor.attach.inject import Result, inject
from monitor.attach.inject.payload import make
from monitor.transport import fd_passing

from .processes import ROOT, ask, cores, end, spawn
from .startup import first_data, installed
from .viewer import is_tick, lines, watch

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

PATIENCE = 20.0
STARTS = 5
REQUESTS = 30_000
LEFT_ALONE = 0.4
"""Seconds that a round takes, attached to or not."""

TICKING = """
import asyncio, json, sys, time

late = []

async def tick():
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.001)
        late.append(time.monotonic() - began - 0.001)

def answer():
    sys.stdin.readline()
    print(json.dumps({"late": max(late, default=0.0), "cpu": time.process_time()}), flush=True)
    late.clear()

async def main():
    for number in range(50):
        asyncio.create_task(asyncio.sleep(3600), name=f"crowd_app.py worker-{number}")
    asyncio.get_running_loop().add_reader(sys.stdin, answer)
    print("ready", flush=True)
    await tick()

asyncio.run(main())
"""

SERVING = """
import asyncio, sys, time
from benchmarks.works import Http

def answer():
    sys.stdin.readline()
    print(time.process_time(), flush=True)

async def main():
    print(await Http().start(), flush=True)
    asyncio.get_running_loop().add_reader(sys.stdin, answer)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


class Target:
    """A program that was started without looptop."""

    hooks = ""

    def __init__(self, python: str, text: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bench-")
        self.directory = os.environ["LOOPTOP_DIR"] = self._folder.name
        self.process = spawn(python, "-c", text, core=cores()[0])
        self.pid = self.process.pid
        self.ready = ask(self.process).decode().strip()

    def __enter__(self) -> Target:
        return self

    def __exit__(self, *_: object) -> None:
        end(self.process)
        self._folder.cleanup()

    @contextlib.contextmanager
    def attached(self) -> Iterator[tuple[Result, float]]:
        """Attach with a viewer that reads; yield how the probe was injected, and seconds until the first tick."""
        began = time.monotonic()
        result = inject(self.pid, make({}, PATIENCE), timeout=PATIENCE)
        assert result.listen_fd is not None
        sock: socket.socket = fd_passing.enter(self.pid, result.listen_fd, PATIENCE)
        with sock:
            watch(sock, rate=4)
            frames = lines(sock)
            self.hooks = json.loads(next(frames))["hooks"]
            while not is_tick(next(frames)):
                pass
            took = time.monotonic() - began
            reading = threading.Thread(target=lambda: [None for _ in frames], daemon=True)
            reading.start()
            yield result, took
            sock.sendall(b'{"type":"request","id":1,"op":"detach"}\n')
            reading.join(PATIENCE)
        while fd_passing.find(self.pid) is not None:
            time.sleep(0.005)


def times(python: str, rounds: int) -> str:
    """One row: pauses, delays of the loop, CPU time, and how long a person waits."""
    pauses, helpers, firsts = [], [], []
    late: dict[str, list[float]] = {"alone": [], "attached": []}
    cpu: dict[str, list[float]] = {"alone": [], "attached": []}

    def book(kind: str, before: float) -> float:
        report = json.loads(ask(target.process, "?"))
        late[kind].append(report["late"])
        cpu[kind].append(report["cpu"] - before)
        return float(report["cpu"])

    with Target(python, TICKING) as target:
        at = json.loads(ask(target.process, "?"))["cpu"]
        for _ in range(rounds):
            time.sleep(LEFT_ALONE)
            at = book("alone", at)
            until = time.monotonic() + LEFT_ALONE
            with target.attached() as (result, took):
                pauses.append(result.pause_ms)
                helpers.append(result.total_ms)
                firsts.append(took)
            time.sleep(max(until - time.monotonic(), 0))
            at = book("attached", at)
        dashboard = [first_data(target) for _ in range(STARTS + 1)][1:]
        tasks = [_seconds(target) for _ in range(STARTS + 1)][1:]
    middle = statistics.median
    cells = [
        _version(python),
        result.how,
        f"{middle(pauses):.2f} / {max(pauses):.1f}",
        f"{middle(helpers):.0f} / {max(helpers):.0f}",
        f"{middle(late['attached']) * 1e3:.1f} ({middle(late['alone']) * 1e3:.1f})",
        f"{(middle(cpu['attached']) - middle(cpu['alone'])) * 1e3:.0f}",
        f"{middle(firsts):.2f} / {max(firsts):.2f}",
        f"{middle(dashboard):.2f}",
        f"{middle(tasks):.2f}",
    ]
    return _row(cells)


def cpu(python: str, rounds: int) -> str:
    """One row: ratios of CPU time a request."""
    found: dict[str, list[float]] = {"control": [], "C": [], "Python": []}
    client = spawn(sys.executable, "-m", "benchmarks.load", core=cores()[1])
    try:
        with Target(python, SERVING) as target:

            def turn() -> float:
                before = float(ask(target.process, "?"))
                ask(client, f"{target.ready} {REQUESTS}")
                return (float(ask(target.process, "?")) - before) / REQUESTS

            turn()
            for _ in range(rounds):
                alone = turn()
                for kind, pure in (("C", "0"), ("Python", "1")):
                    os.environ["LOOPTOP_PURE"] = pure
                    with target.attached():
                        if (target.hooks == "C") != (kind == "C"):
                            raise RuntimeError(f"the hooks are {target.hooks}")
                        found[kind].append(turn() / alone)
                found["control"].append(turn() / alone)
    finally:
        os.environ.pop("LOOPTOP_PURE", None)
        end(client)
    return _row([_version(python), *(_quartiles(found[kind]) for kind in ("control", "C", "Python"))])


def _quartiles(values: list[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.3f} ({low:.3f}–{high:.3f})"


def _seconds(target: Target) -> float:
    began = time.monotonic()
    command = [sys.executable, "-m", "monitor", "tasks", str(target.pid), "--json"]
    subprocess.run(command, cwd=ROOT, env=installed(target), stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def _version(python: str) -> str:
    text = "import platform; print(platform.python_version())"
    return subprocess.run([python, "-c", text], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def _row(cells: list[Any]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Measure attaching on every Python and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=("times", "cpu", []), help="both unless one is named")
    parser.add_argument("--python", action="append", metavar="PATH", help="may be given again")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    heads = {
        "times": (
            "Python", "how", "one thread stood still p50 / max (ms)", "helper at work p50 / max (ms)",
            "its timer late at worst, and left alone (ms)", "CPU time (ms)", "pid to first data p50 / max (s)",
            "dashboard (s)", "`looptop tasks PID --json` (s)",
        ),
        "cpu": ("Python", "control", "hooks in C", "hooks in Python"),
    }  # fmt: skip
    for what in options.what or ("times", "cpu"):
        print(_row(list(heads[what])))
        print(_row(["---"] * len(heads[what])))
        for python in options.python or [sys.executable]:
            print({"times": times, "cpu": cpu}[what](python, options.rounds), flush=True)


if __name__ == "__main__":
    main()
