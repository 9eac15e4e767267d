"""A callback that waits for the GIL is told apart from one that blocks, and who had it is named."""

import os
from pathlib import Path
from typing import Any

import pytest
from watched import Program, Viewer

PROGRAM = """
import asyncio, re, sys, threading, time

def exploding():
    while True:
        re.match("(a+)+$", text)  # line exploding
        time.sleep(0.05)

def counting():
    number = 0
    while True:
        number += 1  # line counting

def sleeping():
    while True:
        time.sleep(0.01)

def innocent():
    for _ in range(40):
        with open(__file__) as file:
            file.read()
        time.sleep(0)  # gives the GIL away, as reading a file may

def napping():
    time.sleep(0.25)  # line napping

def locked():
    lock.acquire(timeout=0.25)  # line locked

def computing():
    end = time.thread_time() + 0.25
    while time.thread_time() < end:
        sum(range(1000))  # line computing

threads, number, step = sys.argv[1], int(sys.argv[2]), sys.argv[3]
lock = threading.Lock()
lock.acquire()
for length in range(16, 40):
    text = "a" * length + "b"
    began = time.thread_time()
    re.match("(a+)+$", text)
    if time.thread_time() - began > 0.2:
        break

async def main():
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for index in range(number):
        threading.Thread(target=globals()[threads], name=f"hog-{index}", daemon=True).start()
    while True:
        await asyncio.sleep(0.01)
        globals()[step]()

asyncio.run(main())
"""
LINES = {
    line.rpartition("# line ")[2].strip(): number
    for number, line in enumerate(PROGRAM.splitlines(), 1)
    if "# line " in line
}

needs_kernel = pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="the kernel does not tell")


def watched(folder: Path, *what: str, python: str, times: int = 4, pure: bool = False) -> tuple[Viewer, list[Any]]:
    """Slow callbacks of a program whose threads and loop do what is said."""
    with Program(PROGRAM, *what, folder=folder, python=python, env={"LOOPTOP_PURE": "1"} if pure else {}) as program:
        program.expect("ready", 60)
        with program.viewer() as viewer:
            viewer.ticks(1)
            program.say()
            viewer.until(lambda: len(viewer.of_kind("slow_callback")) >= times, "slow callbacks", 60)
            slow = viewer.of_kind("slow_callback")
            for event in slow:
                print(what, *(event.get(key) for key in ("duration", "starved", "gil", "samples", "held_by")))
            return viewer, slow


@needs_kernel
@pytest.mark.parametrize("hog", ["exploding", "counting"])
def test_the_thread_that_had_the_gil_is_named(hog: str, tmp_path: Path, python: str) -> None:
    number = 1 if hog == "exploding" else 8
    viewer, slow = watched(tmp_path, hog, str(number), "innocent", python=python, times=8 if number == 1 else 4)
    waited = sum(event.get("gil", 0) for event in slow)
    # The watchdog gets the GIL as late as the loop: after a long call of C it is not always clear who waited for what.
    assert waited > (0.1 if hog == "exploding" else 0.4) * sum(event["duration"] - event["starved"] for event in slow)
    holders = [event["held_by"] for event in slow if event.get("held_by")]
    places = [viewer.site(holder["stack"][holder["blame"]]) for holder in holders]
    # The loop may get the GIL first: then the thread is met one statement later.
    right = [place for place in places if place[2] == hog and abs(place[1] - LINES[hog]) <= 1]
    assert len(right) >= 0.7 * len(holders) > 0
    assert all(holder["thread"].startswith("hog-") for holder in holders)
    assert max(holder["threads"] for holder in holders) >= number / 2


@needs_kernel
@pytest.mark.parametrize("step", ["napping", "locked", "computing"])
def test_what_blocks_beside_a_busy_thread_does_not_wait_for_the_gil(step: str, tmp_path: Path, python: str) -> None:
    hog = "sleeping" if step == "computing" else "counting"
    viewer, slow = watched(tmp_path, hog, "2", step, python=python)
    slow = [event for event in slow if event["duration"] > 200_000]
    assert sum(event.get("gil", 0) for event in slow) < 0.2 * sum(event["duration"] for event in slow)
    places = [viewer.site(event["stack"][event["blame"]]) for event in slow if event["stack"]]
    assert places and all(place[2] == step for place in places)


def test_static_data_has_the_runtime_on_each_python(tmp_path: Path) -> None:
    ctypes = pytest.importorskip("ctypes")
    from probes.sampling.gil_wait import static_data

    begin, end = static_data()
    assert begin <= ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime")) < end
