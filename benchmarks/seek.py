"""How long a seek takes in the player: from the key to the painted screen, in an hour of 5,000 tasks.

    python -m benchmarks.seek [--file FILE] [--seeks N]

The recording is that of `benchmarks.recording`: 1,000 of the tasks make steps between two ticks, 2 ticks a second.
CPU time of the dashboard's process: reading, applying, sorting, formatting, painting.
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

from benchmarks.recording import write_hour
from monitor.recording.player import RecordingSource
from monitor.recording.reader import Recording
from monitor.tui.app import Looptop

TASKS, ACTIVE = 5_000, 1_000
SIZE = (140, 40)
MODES = ("tasks", "slow", "ended")


async def seeks(path: Path, number: int) -> dict[str, list[float]]:
    """Seconds of each seek, by screen: handing out, applying, sorting and painting."""
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
    """Makes the recording where there is none, and prints the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, help="The recording; made there where there is none.")
    parser.add_argument("--seeks", type=int, default=30)
    parser.add_argument("--hours", type=float, default=1.0)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = wanted.file or Path(folder) / "hour.looptop"
        if not path.exists():
            write_hour(path, TASKS, ACTIVE, wanted.hours)
        for what, times in asyncio.run(seeks(path, wanted.seeks)).items():
            times.sort()
            sys.stdout.write(
                f"{what:<22} median {statistics.median(times) * 1e3:4.0f} ms   "
                f"90 % below {times[int(len(times) * 0.9)] * 1e3:4.0f} ms   worst {times[-1] * 1e3:4.0f} ms\n"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
