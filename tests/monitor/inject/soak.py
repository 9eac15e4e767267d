"""Attach and detach, again and again, on programs that make it hard: python -m tests.monitor.inject.soak --rounds 300

Each round goes in, connects, waits for the first tick with the tasks, and goes out. Counted are rounds, failed
requests and how the program was borrowed; what grows is threads, descriptors and memory (that since round 20).
"""

from __future__ import annotations

import argparse
import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    HERE = Path(__file__).resolve().parent
    sys.path[:0] = [str(HERE), str(HERE.parents[1]), str(HERE.parents[2])]

from inject_targets import Running, interpreters, reach
from waiting import wait_until
from watched import Viewer

from monitor.attach.inject import inject
from monitor.attach.inject.payload import make
from monitor.transport import fd_passing

PATIENCE = 60.0
"""Seconds that anything may take: the machine may be busy with other things."""


@dataclass
class Figures:
    """What came out of some rounds."""

    rounds: int = 0
    requests: int = 0
    failed: int = 0
    how: Counter[str] = field(default_factory=Counter)
    pauses: list[float] = field(default_factory=list)  # ms
    totals: list[float] = field(default_factory=list)  # ms, in the helper
    first_data: list[float] = field(default_factory=list)  # s, from the call to the first tick
    grown: dict[str, int] = field(default_factory=dict)

    def line(self) -> str:
        """One line for a person."""
        how = ", ".join(f"{number} by {name}" for name, number in self.how.most_common())
        return (
            f"{self.rounds} rounds ({how}); pause p50 {middle(self.pauses):.2f} max {max(self.pauses):.1f} ms; "
            f"in p50 {middle(self.totals):.0f} max {max(self.totals):.0f} ms; "
            f"first data p50 {middle(self.first_data):.2f} max {max(self.first_data):.2f} s; "
            f"{self.failed} of {self.requests} requests failed; grown {self.grown}"
        )


def middle(values: list[float]) -> float:
    """The median."""
    return sorted(values)[len(values) // 2]


class Load:
    """Clients that ask a web server until they are told to stop."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self.requests = 0
        self.failed: list[str] = []
        self._port = port
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._ended.is_set():
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                if answer.read() != b"hello" or answer.status != 200:
                    self.failed.append(f"status {answer.status}")
            except Exception as error:
                self.failed.append(repr(error))
                connection.close()
            self.requests += 1
        connection.close()

    def stop(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(25)


def rounds(target: Running, number: int, progress: bool = False, memory: bool = True) -> Figures:
    """Goes in and out of a program so many times. Fails with an AssertionError at the first thing that is wrong."""
    figures = Figures()
    floor = floor_of_memory if memory else Running.memory
    before = [target.threads(), len(target.files()), floor(target)]
    load = Load(target.port) if target.port else None
    try:
        for i in range(number):
            one_round(target, figures, before[0])
            if i == min(number // 4, 20):  # what every program needs once has been had
                before[2] = floor(target)
            if progress and i % 50 == 49:
                print(f"    {i + 1}", end="", flush=True)
    finally:
        if load is not None:
            load.stop()
            figures.requests, figures.failed = load.requests, len(load.failed)
    figures.grown = {
        "threads": target.threads() - before[0],
        "files": wait_until(lambda: [len(target.files()) - before[1]], "files")[0],
        "KiB": (floor(target) - before[2]) >> 10,
        "pages": target.pages(),
    }
    if load is not None:
        assert not load.failed, load.failed[:3]
    return figures


def floor_of_memory(target: Running) -> int:
    """The least in two seconds: the hostile program alone goes up and down by 6 MB."""
    found = target.memory()
    until = time.monotonic() + 2
    while time.monotonic() < until and target.alive:
        found = min(found, target.memory())
        time.sleep(0.02)
    return found


def one_round(target: Running, figures: Figures, threads: int) -> None:
    began = time.monotonic()
    result = inject(target.pid, make({}, PATIENCE), timeout=PATIENCE)
    assert not result.found, "the probe of the round before is still there"
    with Viewer(reach(result, PATIENCE)) as viewer:
        viewer.watch(rate=20)
        viewer.until(lambda: "worker-1" in viewer.names(), "the tasks", PATIENCE)
        figures.first_data.append(time.monotonic() - began)
        viewer.send({"type": "request", "id": 1, "op": "detach"})
        viewer.until_end(PATIENCE)
    # The descriptors of the probe are closed one after the other; the next round may begin when it says goodbye.
    wait_until(lambda: fd_passing.find(target.pid) is None, "the end of the probe", PATIENCE)
    wait_until(lambda: target.threads() <= threads or not target.alive, "no more threads than before", PATIENCE)
    assert target.alive, f"the program ended with {target.process.poll()}: {target.stderr}"
    figures.rounds += 1
    figures.how[result.how] += 1
    figures.pauses.append(result.pause_ms)
    figures.totals.append(result.total_ms)


def has_aiohttp(python: str, environ: dict[str, str]) -> bool:
    """Whether that Python can load it."""
    asked = subprocess.run([python, "-c", "import aiohttp"], env={**os.environ, **environ}, capture_output=True)
    return asked.returncode == 0


def main() -> int:
    """The soak on every Python here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--programs", default="hostile,aiohttp")
    parser.add_argument("--pythons", default="", help="short names, with commas between; default: all")
    parser.add_argument("--packages", default="", help="a folder with aiohttp for that Python, if it has none itself")
    options = parser.parse_args()
    status = 0
    for name, python in interpreters().items():
        if options.pythons and name not in options.pythons.split(","):
            continue
        for program in options.programs.split(","):
            environ = {"PYTHONPATH": options.packages} if options.packages else {}
            if program == "aiohttp" and not has_aiohttp(python, environ):
                print(f"aiohttp on {name}: skipped, it has no aiohttp (--packages FOLDER)", flush=True)
                continue
            with tempfile.TemporaryDirectory() as folder:
                os.environ["LOOPTOP_DIR"] = f"{folder}/run"
                with Running(python, program, Path(folder), **environ) as target:
                    print(f"{program} on {name}:", end="", flush=True)
                    try:
                        print("\n   ", rounds(target, options.rounds, progress=True).line(), flush=True)
                    except Exception as error:
                        status = 1
                        print(f"\n    FAILED: {error!r}; alive: {target.alive}; {target.stderr[-500:]}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
