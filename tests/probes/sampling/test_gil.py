"""A callback that waits for the GIL is told apart from one that blocks, and who had it is named."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from watched import Program, Viewer

from probes.base.sites import Tables
from probes.hooks.records import LoopRecord
from probes.sampling import gil_wait
from probes.sampling.cpu_wait import Spent

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
    end, reads = time.monotonic() + 0.08, 0  # longer than exploding rests: it meets each step
    while reads < 40 or time.monotonic() < end:
        with open(__file__) as file:
            file.read()
        time.sleep(0)  # gives the GIL away, as reading a file may
        reads += 1

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


def watched(
    folder: Path, *what: str, python: str, enough: Callable[[Viewer, list[Any]], bool], pure: bool = False
) -> tuple[Viewer, list[Any]]:
    """Slow callbacks of a program whose threads and loop do what is said: as many as `enough` wants, for a minute."""
    with Program(PROGRAM, *what, folder=folder, python=python, env={"LOOPTOP_PURE": "1"} if pure else {}) as program:
        program.expect("ready", 60)
        with program.viewer() as viewer:
            viewer.ticks(1)
            program.say()
            try:
                viewer.until(lambda: enough(viewer, viewer.of_kind("slow_callback")), "clear evidence", 60)
            finally:
                for event in viewer.of_kind("slow_callback"):
                    print(what, *(event.get(key) for key in ("duration", "starved", "gil", "samples", "held_by")))
            return viewer, viewer.of_kind("slow_callback")


def recognized(slow: list[Any]) -> float:
    """How much of the time asleep is known to be waiting for the GIL: nothing else makes this program wait."""
    gil, io = (sum(event.get(key, 0) for event in slow) for key in ("gil", "io"))
    return float(gil / (gil + io)) if gil else 0.0


def holders(slow: list[Any]) -> list[Any]:
    return [event["held_by"] for event in slow if event.get("held_by")]


def lines(viewer: Viewer, stacks: list[Any]) -> list[Any]:
    """The blamed lines, as (file, line, function)."""
    return [viewer.site(each["stack"][each["blame"]]) for each in stacks if each["stack"]]


@needs_kernel
@pytest.mark.parametrize("hog", ["exploding", "counting"])
def test_the_thread_that_had_the_gil_is_named(hog: str, tmp_path: Path, python: str) -> None:
    number = 1 if hog == "exploding" else 8

    def enough(viewer: Viewer, slow: list[Any]) -> bool:
        # The watchdog gets the GIL as late as the loop: not each callback shows who waited for what.
        held = holders(slow)
        # The loop may get the GIL first: then the thread is met one statement later.
        right = [place for place in lines(viewer, held) if place[2] == hog and abs(place[1] - LINES[hog]) <= 1]
        return (
            len(right) >= 3
            and len(right) >= 0.7 * len(held)
            and sum(event.get("gil", 0) for event in slow) > 300_000
            and max(holder["threads"] for holder in held) >= number / 2
            and (hog != "exploding" or recognized(slow) >= 0.8)
        )

    _, slow = watched(tmp_path, hog, str(number), "innocent", python=python, enough=enough)
    assert all(holder["thread"].startswith("hog-") for holder in holders(slow))
    assert all(event.get("gil", 0) <= event["duration"] for event in slow)


@needs_kernel
@pytest.mark.parametrize("step", ["napping", "locked", "computing"])
def test_what_blocks_beside_a_busy_thread_does_not_wait_for_the_gil(step: str, tmp_path: Path, python: str) -> None:
    hog = "sleeping" if step == "computing" else "counting"

    def enough(viewer: Viewer, slow: list[Any]) -> bool:
        # On a crowded machine a step also waits for the GIL after its nap, and truly so: not in most of them.
        long = [event for event in slow if event["duration"] > 200_000]
        clear = [event for event in long if event.get("gil", 0) < 0.2 * event["duration"]]
        right = [place for place in lines(viewer, clear) if place[2] == step]
        return len(right) >= 4 and len(right) >= 0.7 * len(long)

    watched(tmp_path, hog, "2", step, python=python, enough=enough)


def test_static_data_has_the_runtime_on_each_python(tmp_path: Path) -> None:
    ctypes = pytest.importorskip("ctypes")
    from probes.sampling.gil_wait import static_data

    begin, end = static_data()
    assert begin <= ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, "_PyRuntime")) < end


@needs_kernel
def test_a_finished_callback_keeps_what_it_waited() -> None:
    """The watchdog may be amid a look, with readings from after the callback, when the callback ends."""
    gil = gil_wait.Gil(lambda lines, _: tuple(lines))
    loop = asyncio.new_event_loop()
    record = LoopRecord(loop, 1, "asyncio", True)
    loop.close()
    ident = threading.get_ident()
    gil._clocks = {ident: time.pthread_getcpuclockid(ident)}
    code = test_a_finished_callback_keeps_what_it_waited.__code__
    began = time.monotonic() - 1.0
    gil._moments.append(gil_wait.Moment(began - 0.1, {ident: time.thread_time() - 10.0}, None))
    moment = gil_wait.Moment(time.monotonic(), {}, {ident: [(code, code.co_firstlineno)]})
    gil.sample(moment, [(record, began, Spent(0.1, 0.0, 0.4, 80), gil_wait.GIL)], late=False)
    gil._waits[record.id].seconds = 0.9  # both threads book the same sleep
    over = gil.over(record, began, Spent(0.2, 0.1, 0.5, 100), moment, late=False)
    assert over is not None and over.seconds == 0.5 and over.threads == 1
    assert over.longest == threading.current_thread().name  # known even if the thread ends before anybody asks
    kept = gil_wait.facts(over, Tables())
    wait = gil._waits[record.id]
    wait.at, wait.ran = began, {ident: -10.0}  # others ran meanwhile
    gil.sample(moment, [(record, began, Spent(0.2, 0.1, 0.9, 180), gil_wait.GIL)], late=False)
    later = gil.so_far(record, began)
    assert later is not None and later.seconds > 0.5
    assert gil_wait.facts(over, Tables()) == kept
