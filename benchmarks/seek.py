"""How long a seek takes in the player: from the key to the painted screen, in an hour of 5,000 tasks.

    python -m benchmarks.seek [--file FILE] [--seeks N]

The recording is synthetic, written by the real recorder: 5,000 tasks of which 1,000 make steps between two ticks, two
ticks a second, tasks that start and end, a slow callback every 20 s. An existing FILE is used again. Times are CPU time
of the dashboard's process: reading, applying, sorting, formatting, painting.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from monitor.protocol import frames
from monitor.protocol.rows import LoopRow, LoopStaticRow, TaskRow, TaskStaticRow
from monitor.recording.player import RecordingSource
from monitor.recording.reader import Recording
from monitor.recording.writer import File, Recorder
from monitor.store.store import Store
from monitor.tui.app import Looptop
from probes.base import protocol

TASKS, ACTIVE, BORN = 5_000, 1_000, 10
SECONDS, RATE = 3_600, 2
START = 1_700_000_000_000_000
STEP = 1_000_000 // RATE
SIZE = (140, 40)
MODES = ("tasks", "slow", "ended")


def hour(path: Path, seconds: int = SECONDS) -> None:
    """Write a recording of `seconds` seconds to `path`."""
    rng = random.Random(1)
    store = Store()
    recorder = Recorder(store, File(path))

    def send(frame: frames.Frame) -> None:
        store.apply(frame)
        recorder.take(frame)

    def static(ids: range, at: int) -> frames.Static:
        return frames.Static(tasks=[TaskStaticRow(n, f"worker-{n}", 2, 1, at, None, 0, 1 + n % 8, 0) for n in ids])

    send(
        frames.Hello(
            protocol=protocol.PROTOCOL, session="made-up", pid=1, started=START, opened=START, now=START, name="hour",
            program="hour.py", argv=[], cwd="/", host="box", user="me", python="3.11.7", implementation="CPython",
            probe="0", hooks="", capabilities=[], settings={}, paths={},
        )
    )  # fmt: skip
    strings = ["", "/srv/app.py", "worker", "handle"]
    sites = [(1, 10 * n, 2 + n % 2) for n in range(9)]
    send(
        frames.Static(
            strings=frames.Strings(0, strings),
            sites=frames.Sites(0, sites),
            loops=[LoopStaticRow(1, "asyncio", 1, "MainThread")],
        )
    )
    send(static(range(1, TASKS + 1), START))
    busy = dict.fromkeys(range(1, TASKS + 1), 0)
    number, seq = TASKS, 0
    for tick in range(1, seconds * RATE + 1):
        at = START + tick * STEP
        ended = rng.sample(sorted(busy), BORN) if tick % 2 else []
        for task in ended:
            del busy[task]
            seq += 1
            send(
                frames.Event(
                    seq=seq, at=at, kind="task_ended", task=task, name=f"worker-{task}", coro="worker",
                    outcome="failed" if seq % 500 == 0 else "done", age=1, busy=1, steps=1, max_step=1, site=1, loop=1,
                )
            )  # fmt: skip
        if ended:
            send(static(range(number + 1, number + BORN + 1), at))
            busy.update(dict.fromkeys(range(number + 1, number + BORN + 1), 0))
            number += BORN
        if tick % (20 * RATE) == 0:
            seq += 1
            send(frames.Event(seq=seq, at=at, kind="slow_callback", loop=1, duration=150_000, stack=[1, 2], blame=1))
        rows: list[TaskRow] = []
        for task in rng.sample(list(busy), ACTIVE):
            busy[task] += rng.randrange(20, 4_000)
            rows.append(TaskRow(task, rng.randrange(3), tick, busy[task], busy[task] // 3, 4_000))
        send(
            frames.Tick(
                at=at, tasks=rows, loops=[LoopRow(1, rng.randrange(9_000), tick * 200_000, 3, 9, tick * ACTIVE, 1, 0)],
                process=frames.Process(rss=1 << 28, cpu=tick * 200_000, threads=3, fds=9),
                probe=frames.Probe(cpu=tick * 900, hooks=tick * 300, viewers=1, tasks=TASKS),
            )
        )  # fmt: skip
        while recorder._queue.qsize() > 1:  # as fast as it can be written, and nothing dropped
            time.sleep(0.001)
    recorder.close("made up")
    if recorder.dropped or recorder.problem:
        sys.exit(f"the recording is incomplete: {recorder.dropped} ticks dropped, {recorder.problem}")


async def seeks(path: Path, number: int) -> dict[str, list[float]]:
    """Seconds of each seek, by screen: reading, applying, sorting and painting."""
    rng = random.Random(2)
    took: dict[str, list[float]] = {}
    opened = time.process_time()
    recording = Recording(path)
    source = RecordingSource(recording, playing=False)
    took["opening the file"] = [time.process_time() - opened]
    app = Looptop(source, hz=0)
    async with app.run_test(size=SIZE) as pilot:
        await app.tick()
        assert app.player is not None
        for mode in MODES:
            await app.action_show(mode)
            await pilot.pause()
            for _ in range(number):
                share = rng.random()
                began = time.process_time()
                app.player.seek_share(share)
                await app.tick()
                app.screen._compositor.render_strips()
                took.setdefault(f"a seek, on {mode}", []).append(time.process_time() - began)
                await pilot.pause()
    return took


def main() -> int:
    """Writes the recording if there is none, and prints the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--seeks", type=int, default=60)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = wanted.file or Path(folder) / "hour.looptop"
        if not path.exists():
            began = time.perf_counter()
            hour(path, wanted.seconds)
            sys.stdout.write(f"made in {time.perf_counter() - began:.0f} s, {path.stat().st_size / 2**20:.1f} MiB\n")
        for what, times in asyncio.run(seeks(path, wanted.seeks)).items():
            times.sort()
            worst = times[-1]
            p90 = times[int(len(times) * 0.9)]
            sys.stdout.write(
                f"{what:<22} median {statistics.median(times) * 1e3:6.0f} ms   "
                f"90 % below {p90 * 1e3:6.0f} ms   worst {worst * 1e3:6.0f} ms\n"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
