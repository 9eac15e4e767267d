"""The size and the cost of recordings: `python -m benchmarks.recording [size] [cpu] [--json]`.

* **size**: a real program of 1,000 tasks of which 200 are active (half wait on queues, half sleep for random times) is
  recorded as `looptop record` does, for a while; what the blocks after the first 20 s take is scaled to one hour.
* **cpu**: four of that program run in turns on one core: two with a viewer (their ratio is the A/A control), one with a
  viewer and a recorder, one with a recorder alone. What counts is the CPU time of the process, the probe included.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from monitor.recording.file_format import HEAD_SIZE, PARTS, Head
from monitor.recording.reader import Recording

from .processes import ask, cores, end, spawn

HOUR = 3600.0
WARM = 20.0

PROGRAM = """
import asyncio, json, os, random, sys, time
import probes

live, active, work = map(int, sys.argv[1:])

async def idle(event):
    await event.wait()

async def spin():
    for _ in range(work):
        pass

async def sleeper(pause):
    while True:
        await asyncio.sleep(pause())
        await spin()

async def consumer(queue):
    while True:
        await queue.get()
        await spin()

async def producer(queues):
    while True:
        await asyncio.sleep(0.1)
        for queue in queues:
            queue.put_nowait(1)

async def main():
    chosen, event = random.Random(1), asyncio.Event()
    pause = lambda: 0.05 + 0.1 * chosen.random()
    queues = [asyncio.Queue() for _ in range(active // 2)]
    tasks = [asyncio.create_task(idle(event), name=f"idle-{n}") for n in range(live - active - 1)]
    tasks += [asyncio.create_task(sleeper(pause), name=f"sleeper-{n}") for n in range(active - len(queues))]
    tasks += [asyncio.create_task(consumer(queue), name=f"consumer-{n}") for n, queue in enumerate(queues)]
    tasks.append(asyncio.create_task(producer(queues), name="producer"))
    probes.install()
    print("ready", flush=True)
    def answer():
        if os.read(0, 99):
            print(json.dumps(time.process_time()), flush=True)
    asyncio.get_running_loop().add_reader(0, answer)
    await asyncio.gather(*tasks)

asyncio.run(main())
"""


class Watched:
    """The program and its viewers."""

    def __init__(self, folder: str, work: int, viewer: bool, recorder: Path | None, rate: float = 2.0) -> None:
        path = Path(folder) / "program.py"
        path.write_text(PROGRAM, encoding="utf-8")
        measured, other = cores()
        self.process = spawn(sys.executable, str(path), "1000", "200", str(work), core=measured, LOOPTOP_DIR=folder)
        ask(self.process)
        self.others = []
        if viewer:
            socket = f"{folder}/{self.process.pid}.sock"
            self.others.append(spawn(sys.executable, "-m", "benchmarks.viewer", socket, "4", core=other))
            ask(self.others[0])
        if recorder is not None:
            line = [sys.executable, "-m", "monitor", "record", str(self.process.pid), "-o", str(recorder)]
            started = spawn(*line, "--rate", str(rate), core=other, LOOPTOP_DIR=folder)
            self.others.append(started)
            until = time.monotonic() + 20
            while not (recorder.exists() and recorder.stat().st_size) and time.monotonic() < until:
                time.sleep(0.05)
        self.spent = 0.0

    def turn(self, seconds: float) -> float:
        """Runs it for a number of seconds; returns the CPU time (s) it took."""
        self.process.send_signal(signal.SIGCONT)
        time.sleep(seconds)
        total = float(ask(self.process, "cpu"))
        self.process.send_signal(signal.SIGSTOP)
        spent, self.spent = total - self.spent, total
        return spent

    def end(self) -> None:
        """Ends all processes; a recorder finishes its file."""
        self.process.send_signal(signal.SIGCONT)
        for other in self.others:
            other.send_signal(signal.SIGINT)
        for other in self.others:
            with contextlib.suppress(subprocess.TimeoutExpired):
                other.wait(10)
            end(other)
        end(self.process)


def size(seconds: float) -> dict[str, Any]:
    """The size of a recording of one hour (MB)."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "size.looptop"
        watched = Watched(folder, 500, viewer=False, recorder=file)
        time.sleep(WARM + seconds)
        watched.end()
        with Recording(file) as recording:
            blocks = [b for b in recording._blocks if b.summary.start - recording.start >= WARM * 1e6]
            length = (blocks[-1].summary.end - blocks[0].summary.start) * 1e-6
            taken = sum(block.place.size for block in blocks)
            tasks = statistics.median(tick.tasks for tick in recording.light_ticks())
            parts = dict.fromkeys(PARTS, 0)
            for block in blocks:
                block.file.seek(block.place.offset)
                lengths = Head(block.file.read(HEAD_SIZE)).lengths[1:]
                parts = {name: parts[name] + taken_by for name, taken_by in zip(PARTS, lengths, strict=True)}
            scale = HOUR / length / 1e6
            return {
                "MB an hour": round(taken * scale, 2),
                "recorded (s)": round(length, 1),
                "tasks": tasks,
                "ticks dropped": recording.dropped,
                "MB an hour by part": {name: round(value * scale, 2) for name, value in parts.items()},
            }


def cpu(rounds: int, seconds: float = 4.0) -> dict[str, Any]:
    """Ratios of the CPU time of the program."""
    modes = {"viewer": (True, False), "control": (True, False), "both": (True, True), "recorder": (False, True)}
    spent: dict[str, list[float]] = {mode: [] for mode in modes}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        workers = {}
        try:
            for mode, (viewer, recorder) in modes.items():
                own = Path(folder) / mode
                own.mkdir()
                workers[mode] = Watched(str(own), 6000, viewer, own / "cpu.looptop" if recorder else None)
                workers[mode].turn(1.5)
            order = random.Random(1)
            for _ in range(rounds):
                for mode in order.sample(list(modes), len(modes)):
                    spent[mode].append(workers[mode].turn(seconds))
        finally:
            for worker in workers.values():
                worker.end()
    plain = [(a + b) / 2 for a, b in zip(spent["viewer"], spent["control"], strict=True)]

    def ratio(mode: str, against: list[float]) -> list[float]:
        ratios = [a / b for a, b in zip(spent[mode], against, strict=True)]
        return [round(value, 4) for value in statistics.quantiles(ratios, n=4)]

    more = [a - b for a, b in zip(spent["both"], plain, strict=True)]
    return {
        "control (A/A)": ratio("control", spent["viewer"]),
        "viewer and recorder, to viewer": ratio("both", plain),
        "recorder alone, to viewer": ratio("recorder", plain),
        "program with a viewer, of one core": round(statistics.median(plain) / seconds, 4),
        "recorder beside a viewer, of one core": round(statistics.median(more) / seconds, 5),
        "rounds": rounds,
    }


def main() -> None:
    """Measures what the arguments name."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recording", description="Measures what recording costs."
    )
    parser.add_argument("what", nargs="*", choices=["size", "cpu"], help="size, cpu (both)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the program of which the size is measured (60)")
    parser.add_argument("--rounds", type=int, default=12, help="ratios of CPU time (12)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    made = {"size": lambda: size(options.seconds), "cpu": lambda: cpu(options.rounds)}
    found = {what: made[what]() for what in options.what or made}
    if options.json:
        print(msgspec.json.encode(found).decode())
        return
    for what, figures in found.items():
        print(what)
        for name, value in figures.items():
            print(f"  {name:40} {json.dumps(value)}")


if __name__ == "__main__":
    main()
