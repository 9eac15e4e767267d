"""What a callback lost to other programs is told apart from what it took itself, and compared with known truth."""

import json
import os
import threading
from pathlib import Path

import pytest
from watched import Program

from probes.base.process import thread_schedule
from probes.hooks.records import LoopRecord
from probes.sampling import cpu_wait
from probes.sampling.cpu_wait import NOTHING, CpuWait, Reading

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


class Loop:
    """Not asyncio's."""


def test_a_thread_that_is_not_there() -> None:
    assert thread_schedule(0) == (0.0, 0.0, 0)
    assert thread_schedule(1 << 30) == (0.0, 0.0, 0)


def test_nothing_is_known_before_the_first_look() -> None:
    loop = Loop()
    record = LoopRecord(loop, 1, "asyncio", True)
    record.thread_native = threading.get_native_id()
    starved = CpuWait()
    assert starved.of(record, 0.0, 0.0, 1.0) == NOTHING
    starved.sample([record])
    assert 0.0 <= sum(starved.of(record, 1.0, 0.0, 2.0)[:3]) <= 1.0 + 1e-6, "CPU, waiting for it, and asleep"


CALLBACK = {
    # Of a callback of 150 ms, what its thread had run and waited: 30 ms before it, at the first look and at its end.
    "asleep from the start": (0.001, (0.010, 0.008), (0.010, 0.008), (0.010, 0.010)),
    "computing": (0.001, (0.010, 0.012), (0.030, 0.032), (0.080, 0.092)),
    "without a processor at the first look": (0.007, (0.010, 0.015), (0.030, 0.015), (0.080, 0.095)),
}


@pytest.mark.parametrize("how", CALLBACK)
def test_waits_between_callbacks_are_not_those_of_the_next(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop was in callbacks for a third of the time before this one, and waited for a processor between them."""
    close, (ran, waited), *others = CALLBACK[how]
    started = 0.030
    readings = [
        Reading(0.0, 0.0, 0.0, 0.0),
        *(Reading(started + at, *each, 0.010 + at) for at, each in zip((0.040, 0.150), others, strict=True)),
    ]
    monkeypatch.setattr(cpu_wait, "_read", lambda *unused: readings.pop(0))
    record = LoopRecord(Loop(), 1, "asyncio", True)
    starved = CpuWait()
    starved.sample([record])
    record.started, record.busy = started, 0.010
    starved.sample([record])
    spent = starved.of(record, started, 0.010, started + 0.150)
    assert spent.ran == pytest.approx(others[-1][0] - ran, abs=close)
    assert spent.starved == pytest.approx(others[-1][1] - waited, abs=close)
