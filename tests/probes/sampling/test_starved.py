"""What a callback lost to other programs is told apart from what it took itself, and compared with known truth."""

import json
import os
import threading
from pathlib import Path

import pytest
from watched import Program

from probes.base.process import thread_schedule
from probes.hooks.records import LoopRecord
from probes.sampling.cpu_wait import NOTHING, CpuWait

CROWD = """
import asyncio, json, os, sys, time

how, busy = sys.argv[1], int(sys.argv[2])
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
parent = os.getpid()
for _ in range(busy):
    if not os.fork():
        end = time.monotonic() + 60
        while time.monotonic() < end and os.getppid() == parent:
            sum(range(10_000))
        os._exit(0)

def waited():
    with open("/proc/thread-self/schedstat") as file:
        return int(file.read().split()[1]) * 1e-9

def computing():
    sum(range(amount))

def stepping():
    for _ in range(100):
        sum(range(amount // 100))

def sleeping():
    time.sleep(0.15)

began = time.thread_time()
sum(range(2_000_000))
amount = int(2_000_000 * 0.15 / (time.thread_time() - began))
blocks = {"computing": computing, "stepping": stepping, "sleeping": sleeping}[how]
truth = []

async def main():
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for number in range(8):
        await asyncio.sleep(0.03 if number >= 4 else 0)  # a loop that never rests, then one that does
        for _ in range(20):
            await asyncio.sleep(0)
        before, began = waited(), time.monotonic()
        blocks()
        truth.append([time.monotonic() - began, waited() - before])
    await asyncio.sleep(0)
    print(json.dumps(truth), flush=True)
    await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="the kernel does not tell")
@pytest.mark.parametrize(
    ("how", "busy"), [("computing", 0), ("computing", 2), ("computing", 6), ("stepping", 6), ("sleeping", 6)]
)
def test_waiting_for_a_processor_is_known_within_15_percent(how: str, busy: int, tmp_path: Path) -> None:
    for _ in range(8):
        found, real, blocks = told_and_true(how, busy, tmp_path)
        # A few milliseconds each time are those of the line after the last reading, and on a crowded machine many.
        if abs(found - real) <= 0.15 * real + 0.005 * blocks:
            return
    pytest.fail(f"{found:.3f} s told, {real:.3f} s true")


def told_and_true(how: str, busy: int, folder: Path) -> tuple[float, float, int]:
    """Seconds that slow callbacks waited for a processor, as told and in truth, and how many there were."""
    with Program(CROWD, how, str(busy), folder=folder) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(1)
            program.say()
            truth = json.loads(program.line(120))
            longer = sum(block[0] >= 0.11 for block in truth)
            viewer.until(lambda: len(viewer.of_kind("slow_callback")) >= longer, "slow callbacks")
            slow = viewer.of_kind("slow_callback")
            program.say()
            program.end()
    found = sum(event["starved"] for event in slow) / 1e6
    took, real = sum(block[0] for block in truth), sum(block[1] for block in truth)
    print(f"{how} beside {busy}: {found:.3f} s told, {real:.3f} s true, of {took:.3f} s")
    return found, real, len(truth)


def test_a_thread_that_is_not_there() -> None:
    assert thread_schedule(0) == (0.0, 0.0, 0)
    assert thread_schedule(1 << 30) == (0.0, 0.0, 0)


def test_nothing_is_known_before_the_first_look() -> None:
    class Loop:
        pass

    loop = Loop()
    record = LoopRecord(loop, 1, "asyncio", True)
    record.thread_native = threading.get_native_id()
    starved = CpuWait()
    assert starved.of(record, 0.0, 0.0, 1.0) == NOTHING
    starved.sample([record])
    assert 0.0 <= sum(starved.of(record, 1.0, 0.0, 2.0)[:3]) <= 1.0 + 1e-6, "CPU, waiting for it, and asleep"
