"""How long a memory snapshot holds up a program: `python -m benchmarks.memory [--blocks N] [--python PATH]`.

A program keeps N traced blocks and runs a timer every millisecond, which records how late it is. In turns: nothing
happens (A/A), a viewer takes a snapshot through the probe, live objects are counted through the probe, and the program
itself calls `tracemalloc.take_snapshot().compare_to(…)` in its loop. Printed is the longest delay of each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from .processes import ROOT

PROGRAM = """
import asyncio, json, sys, time, tracemalloc
import probes

worst = 0.0

async def timer():
    global worst
    while True:
        before = time.monotonic()
        await asyncio.sleep(0.001)
        worst = max(worst, time.monotonic() - before - 0.001)

async def main():
    global worst
    tracemalloc.start(int(sys.argv[2]))
    keep = [[bytes(40) for _ in range(1000)] for _ in range(int(sys.argv[1]) // 1000)]
    ticking = asyncio.create_task(timer())
    probes.install()
    before = tracemalloc.take_snapshot() if len(sys.argv) > 3 else None
    print("ready", flush=True)
    while True:
        line = (await asyncio.to_thread(sys.stdin.readline)).strip()
        if line == "snapshot":
            began = time.monotonic()
            tracemalloc.take_snapshot().compare_to(before, "lineno")
            await asyncio.sleep(0.01)
        elif line != "worst":
            break
        print(json.dumps(worst), flush=True)
        worst = 0.0

asyncio.run(main())
"""


class Watched:
    """The program and its viewer."""

    def __init__(self, python: str, blocks: int, frames: int, folder: str) -> None:
        import os

        from monitor.store.store import Store
        from monitor.transport.address import Address
        from monitor.transport.connection import connect

        environ = {**os.environ, "PYTHONPATH": str(ROOT), "LOOPTOP_DIR": folder}
        self._process = subprocess.Popen(
            [python, "-c", PROGRAM, str(blocks), str(frames), "compare"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environ,
        )
        self._line()
        self._connection = connect(Address(path=f"{folder}/{self._process.pid}.sock"))
        self._store = Store()
        self._number = 0
        self._connection.send({"type": "watch", "rate": 4, "rows": False})
        self.ask("memory_start", duration=3600_000_000, limit=1 << 40)
        self.ask("memory_baseline")
        self.ask("objects_look")

    def _line(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line != "ready\n" else None

    def ask(self, op: str, **arguments: Any) -> Any:
        """Send a request and return the reply of the probe."""
        from monitor.plain.snapshot import replies

        self._number += 1
        self._connection.send({"type": "request", "id": self._number, "op": op, **arguments})
        reply = replies(self._connection, self._store, self._number)
        assert reply.ok, reply.error
        return reply

    def say(self, text: str) -> float:
        """The longest delay since the previous call (ms)."""
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()
        return float(self._line()) * 1e3

    def idle(self) -> float:
        """The longest delay while nothing is requested, for about as long as a snapshot takes."""
        import time

        self.say("worst")
        time.sleep(1.5)
        return self.say("worst")

    def look(self) -> tuple[float, float, float]:
        """The longest delay during a snapshot, the part of it in C, and the whole time it took (ms)."""
        self.say("worst")
        found = self.ask("memory_look", limit=20).memory
        return self.say("worst"), found.pause * 1e-3, found.took * 1e-3

    def objects(self) -> tuple[float, float, float]:
        """The same for counting live objects."""
        self.say("worst")
        found = self.ask("objects_look", limit=20).objects
        return self.say("worst"), found.pause * 1e-3, found.took * 1e-3

    def snapshot(self) -> float:
        """The longest delay when the program takes and compares a snapshot itself."""
        self.say("worst")
        return self.say("snapshot")

    def close(self) -> None:
        """End the program and its viewer."""
        self._connection.close()
        self._process.kill()
        self._process.wait()


def main() -> None:
    """Measures and prints medians and worst values."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=1_000_000)
    parser.add_argument("--frames", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lt-") as folder:
        watched = Watched(options.python, options.blocks, options.frames, folder)
        try:
            rounds = [
                (watched.idle(), *watched.look(), *watched.objects(), watched.snapshot()) for _ in range(options.rounds)
            ]
        finally:
            watched.close()
    names = (
        "delay, nothing asked (A/A)",
        "delay, memory_look",
        "  of it tracemalloc's C copy",
        "  the whole look took",
        "delay, objects_look",
        "  of it the C call",
        "  the whole look took",
        "delay, take_snapshot + compare_to",
    )
    columns = list(zip(*rounds, strict=True))
    if options.json:
        print(json.dumps([[name.strip(), *map(float, column)] for name, column in zip(names, columns, strict=True)]))
        return
    print(f"{options.blocks} blocks, {options.frames} frames, {options.rounds} rounds: median and worst (ms)")
    for name, column in zip(names, columns, strict=True):
        print(f"{name:36}{statistics.median(column):9.1f}{max(column):9.1f}")


if __name__ == "__main__":
    main()
