"""What a callback lost to other programs is told apart from what it took itself."""

import os
import threading
from pathlib import Path

import pytest
from watched import Program

from probes.records import LoopRecord
from probes.starved import Starved, waited

SPIN = """
import asyncio, os, sys, time
if len(sys.argv) > 1:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for _ in range(3):  # as many as make the loop wait for its processor most of the time
        if not os.fork():
            end = time.monotonic() + 20
            while time.monotonic() < end and os.getppid() != 1:
                pass
            os._exit(0)

async def main():
    print("ready", flush=True)
    while True:
        await asyncio.sleep(0.05)
        time.sleep(0.15) if len(sys.argv) < 2 else sum(range(4_000_000))

asyncio.run(main())
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="the kernel does not tell")
def test_a_crowded_processor_is_not_the_callback(tmp_path: Path) -> None:
    with Program(SPIN, "crowded", folder=tmp_path) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            slow = viewer.until(lambda: viewer.of_kind("slow_callback")[2:], "slow callbacks", 40)
            assert sum(event["starved"] for event in slow) > 0.4 * sum(event["duration"] for event in slow)


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="the kernel does not tell")
def test_sleeping_is_not_starving(tmp_path: Path) -> None:
    with Program(SPIN, folder=tmp_path) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            slow = viewer.until(lambda: viewer.of_kind("slow_callback")[4:], "slow callbacks")
            least = min(event["starved"] / event["duration"] for event in slow)
            assert least < 0.5  # of the best of five: the machine may be crowded


def test_a_thread_that_is_not_there() -> None:
    assert waited(0) == 0.0
    assert waited(1 << 30) == 0.0


def test_nothing_is_known_before_the_first_calm_look() -> None:
    class Loop:
        pass

    loop = Loop()
    record = LoopRecord(loop, 1, "asyncio", True)
    record.thread_native = threading.get_native_id()
    starved = Starved()
    assert starved.since_calm(record, 1.0) == 0.0
    starved.look(10.0, [record])
    assert 0.0 <= starved.since_calm(record, 1e-9) <= 1e-9
