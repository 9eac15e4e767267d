"""What findings are made of, as a viewer gets it: locks and holders, queues, pools, cancellations, dropped coroutines."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from interpreters import VERSIONS, find_python
from watched import Program, environment

PYTHONS = [python for python in (find_python(version) for version in (*VERSIONS, "3.14")) if python is not None]

SHARED = """
import asyncio, contextlib, sys, time
from concurrent.futures import ThreadPoolExecutor

incoming = asyncio.Queue()

async def beside_it():
    await asyncio.sleep(60)

async def fills():
    for number in range(80):
        incoming.put_nowait(number)
    await asyncio.sleep(60)

async def drains():
    while True:
        await incoming.get()
        await asyncio.sleep(60)  # it stands here

class Shop:
    def __init__(self):
        self.orders = asyncio.Queue()
        self.gate = asyncio.Semaphore(3)

    async def serve(self):
        for number in range(70):
            self.orders.put_nowait(number)
        await asyncio.sleep(60)

@contextlib.asynccontextmanager
async def borrowed(lock):
    async with lock:
        yield

async def holder(lock):
    async with borrowed(lock):
        await asyncio.sleep(60)

async def waiter(lock):
    async with lock:
        pass

async def by_hand(lock):
    await lock.acquire()
    await asyncio.sleep(60)

async def crossed(first, second):
    async with first:
        await asyncio.sleep(0.05)
        async with second:
            pass

async def twice(lock):
    async with lock:
        async with lock:
            pass

async def stubborn():
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

async def cleans():
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(60)

async def catches():
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(60)
        raise

async def parent():
    await asyncio.create_task(cleans(), name="child")

async def grouped():
    async with asyncio.TaskGroup() as group:
        group.create_task(cleans(), name="in-group")

async def fails():
    await asyncio.sleep(0.01)
    raise ValueError

async def tries_again():
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())
    except* ValueError:
        pass
    await asyncio.sleep(60)

async def with_a_stubborn_one():
    async with asyncio.TaskGroup() as group:
        group.create_task(stubborn(), name="stubborn in a group")
        group.create_task(fails())

async def in_time():
    async with asyncio.timeout(0.01):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise
async def timed_out():
    with contextlib.suppress(TimeoutError):
        await in_time()
    await asyncio.sleep(60)

async def main():
    lock, other, one, two = (asyncio.Lock() for _ in range(4))
    make = asyncio.create_task
    pool = ThreadPoolExecutor(1, thread_name_prefix="small")
    loop = asyncio.get_running_loop()
    jobs = [loop.run_in_executor(pool, time.sleep, 60) for _ in range(200)]
    kept = [make(Shop().serve(), name="serve"), make(holder(lock), name="holder"), make(by_hand(other), name="hand")]
    await asyncio.sleep(0.02)
    kept += [make(waiter(lock), name=f"waiter-{n}") for n in range(3)]
    kept += [make(waiter(other), name="beside"), make(crossed(one, two), name="a"), make(crossed(two, one), name="b")]
    kept += [make(twice(asyncio.Lock()), name="twice")]
    kept += [make(f(), name=f.__name__) for f in (beside_it, fills, drains)]
    cancelled = [make(f(), name=f.__name__) for f in (stubborn, cleans, catches, parent, grouped)]
    kept += [make(f(), name=f.__name__) for f in (timed_out, tries_again, with_a_stubborn_one)]
    await asyncio.sleep(0.05)
    for task in cancelled:
        task.cancel()
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    import os; os._exit(0)

asyncio.run(main())
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_who_holds_what_and_who_went_on(tmp_path: Path, python: str) -> None:
    with Program(SHARED, folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer(findings=True) as viewer:
            names = {}

            def looked():
                found = [
                    frame["sync_scan"] for frame in viewer.frames if frame["type"] == "tick" and "sync_scan" in frame
                ]
                names.update({number: facts["name"] for number, facts in viewer.facts.items()})
                return found[-1] if len(found) > 1 and len(names) > 15 else None

            scan = viewer.until(looked, "two looks")
            locks = {
                tuple(sorted(names[task] for task, _ in waiters)): (waiting, names.get(holder))
                for _, waiting, holder, _, waiters in scan["locks"]
            }
            assert locks == {
                ("waiter-0", "waiter-1", "waiter-2"): (3, "holder"),  # through an asynccontextmanager
                ("beside",): (1, None),  # taken with acquire(): not known, and not guessed
                ("a",): (1, "b"),
                ("b",): (1, "a"),
                ("twice",): (1, "twice"),
            }
            waiting = next(row for row in scan["locks"] if row[2] and names[row[2]] == "b")
            assert viewer.site(waiting[3])[2] == viewer.site(waiting[4][0][1])[2] == "crossed"
            assert {names[task] for task, _, _ in scan["cancelled"]} == {"stubborn", "stubborn in a group"}
            incoming, orders = scan["queues"]
            assert (incoming[1], *incoming[3:]) == ("Queue incoming of __main__", 79, 0, 0, 0)
            assert viewer.site(incoming[2])[2] == "drains"  # of all tasks in this module, the one that takes from it
            assert orders[1] in ("Queue orders of Shop", "Queue of Shop")
            assert orders[3:] == [70, 0, 0, 0]
            assert [row[3] for row in scan["semaphores"]] == [3]
            small = next(row for row in scan["executors"] if row[2].startswith("small"))
            assert small[1] == "thread"
            assert small[3:5] == [1, 1]
            assert small[5] > 50


def test_nothing_is_read_for_who_does_not_ask(tmp_path: Path) -> None:
    with Program(SHARED, folder=tmp_path) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(3)
            assert all("sync_scan" not in frame for frame in viewer.frames)


DROPPED = """
import asyncio, sys, warnings
async def fetch(n): pass
def make(): return fetch(0)

async def forgets():
    fetch(1)
    kept = fetch(2)
    await asyncio.sleep(0)
    kept = None
    make()

asyncio.run(forgets())
fetch(3)
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("action", ["default", "error", "ignore"])
def test_a_coroutine_that_was_dropped_is_noted_and_the_program_prints_what_it_does_without_us(
    tmp_path: Path, python: str, action: str
) -> None:
    with Program(DROPPED, folder=tmp_path, python=python, options=("-W", action)) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.until(lambda: len(viewer.of_kind("never_awaited")) >= 4, "the dropped ones")
            seen = [
                (event["coro"], event["text"], viewer.site(event["stack"][event["blame"]])[1:])
                for event in viewer.of_kind("never_awaited")
            ]
            assert seen == [
                ("fetch", "made here", (7, "forgets")),
                ("fetch", "dropped here", (10, "forgets")),
                ("fetch", "made here", (11, "forgets")),
                ("fetch", "made here", (14, "<module>")),
            ]
        program.say()
        program.end()
        with_us = program.stderr
    plain = subprocess.run(
        [python, "-W", action, str(tmp_path / "program.py")],
        input="go\n", capture_output=True, text=True, env=environment(boot=False), cwd=tmp_path, timeout=60,
    )  # fmt: skip
    assert without_addresses(with_us) == without_addresses(plain.stderr)


def without_addresses(text: str) -> str:
    import re

    return re.sub(r"0x[0-9a-f]+", "0x", text).strip()


def test_a_program_that_replaced_the_hook_is_left_alone(tmp_path: Path) -> None:
    script = """
        import warnings
        theirs = warnings._warn_unawaited_coroutine = lambda coro: print("dropped", coro.__name__, flush=True)
        import probes
        probes.install()
        async def fetch(): pass
        fetch()
        print(warnings._warn_unawaited_coroutine is theirs, flush=True)
    """
    with Program(script, folder=tmp_path, boot=False) as program:
        program.expect("dropped fetch")
        program.expect("True")
        assert program.end() == 0
