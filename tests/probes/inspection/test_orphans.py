"""Tasks that can never wake, among tasks that wait for long and will: in a real program, as a viewer gets it."""

from __future__ import annotations

import importlib.util
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from interpreters import find_python
from watched import Program, Viewer

PYTHONS = [(python, "") for python in map(find_python, ("3.12", "3.13", "3.14", "3.15")) if python is not None]
if importlib.util.find_spec("uvloop") is not None:
    PYTHONS.append((find_python("3.11"), "uvloop"))

PROGRAM = """
import asyncio, contextlib, json, signal, sys, threading, time, weakref

class Touchy:
    # Says so if anything is asked of it.
    touched = []
    def _touch(self, *_):
        self.touched.append(sys._getframe(1).f_code.co_name)
        return NotImplemented
    __eq__ = __hash__ = __len__ = __bool__ = __iter__ = __repr__ = _touch
    def __getattr__(self, name):
        self.touched.append(name)
        raise AttributeError(name)
    def __del__(self):
        self.touched.append(threading.current_thread() is not threading.main_thread() and "deleted elsewhere")
    @property
    def value(self):
        self.touched.append("value")

class Client:
    def __init__(self):
        self.pending = {}
        self.touchy = [Touchy()]
    async def call(self, number):
        done = self.pending[number] = asyncio.get_running_loop().create_future()
        return await done
    def reconnect(self):
        self.pending = {}

async def wait_event(event):
    touchy = Touchy()
    await event.wait()

async def get(queue):
    return await queue.get()

async def fail(queue):
    await asyncio.sleep(0.01)
    raise KeyError("limit")

async def leave(lock):
    await lock.acquire()

async def enter(lock):
    async with lock:
        pass

async def inside(lock, future):
    async with lock:
        await future

class Guard:
    def __init__(self, opened):
        self.opened = opened
    async def __aenter__(self):
        await self.opened
    async def __aexit__(self, *args):
        self.opened.set_result(None)

async def enter_by_attribute(holder):
    async with holder[0], holder[0]:
        pass

async def listen(condition):
    async with condition:
        await condition.wait()

async def await_it(awaitable):
    await awaitable

GLOBAL = asyncio.Event()

async def set_later(event):
    await asyncio.sleep(3000)
    event.set()

async def inside_a_timeout(future):
    async with asyncio.timeout(3000):
        await future

async def forever():
    await asyncio.Event().wait()

async def named_forever():
    with contextlib.suppress(KeyError):
        never = asyncio.get_running_loop().create_future()
        await never

async def until_cancelled():
    never = asyncio.Event()
    await never.wait()

async def owner():
    task = asyncio.create_task(until_cancelled(), name="right: cancelled by its owner")
    try:
        await asyncio.sleep(3000)
    finally:
        task.cancel()

async def give_away(registry):
    done = asyncio.Event()
    registry[1] = done
    registry.clear()
    await done.wait()

class Service:
    def start(self):
        self.task = asyncio.create_task(self.work(), name="right: stopped by its service")
        return self.task
    async def work(self):
        never = asyncio.Event()
        await never.wait()
    def stop(self):
        self.task.cancel()

def plant(keep):
    global GLOBAL_LOCK, GLOBAL_FUTURE
    GLOBAL_LOCK, GLOBAL_FUTURE = asyncio.Lock(), asyncio.get_running_loop().create_future()
    keep.append(asyncio.create_task(leave(GLOBAL_LOCK)))
    def add(name, coro):
        keep.append(asyncio.create_task(coro, name=name))
        return keep[-1]
    loop, client = asyncio.get_running_loop(), Client()
    first = add("orphan: call", client.call(1))
    loop.call_later(0.01, client.reconnect)
    add("behind: awaits a call", await_it(first))
    event, queue, lock, pool = asyncio.Event(), asyncio.Queue(), asyncio.Lock(), asyncio.Queue()
    add("orphan: event", wait_event(event))
    add("orphan: event", wait_event(event))
    add("fails", fail(queue))
    add("orphan: queue", get(queue))
    add("leaves", leave(lock))
    add("orphan: lock", enter(lock))
    add("orphan: condition", listen(asyncio.Condition()))
    add("orphan: inside", inside(asyncio.Lock(), loop.create_future()))
    add("orphan: guard", enter_by_attribute([Guard(loop.create_future())]))

    add("right: global", wait_event(GLOBAL))
    add("right: global lock", enter(GLOBAL_LOCK))
    add("right: inside", inside(asyncio.Lock(), GLOBAL_FUTURE))
    add("right: timeout", inside_a_timeout(loop.create_future()))
    add("right: wait_for", asyncio.wait_for(loop.create_future(), 3000))
    add("right: in wait_for", asyncio.wait_for(wait_event(asyncio.Event()), 3000))
    add("right: forever", forever())
    add("right: forever by name", named_forever())
    add("orphan: given away", give_away({}))
    refs.append(weakref.ref(event := asyncio.Event()))
    add("right: weakly", wait_event(event))
    add("right: set later", wait_event(event := asyncio.Event()))
    add("right: sets", set_later(event))
    loop.call_later(3000, (event := asyncio.Event()).set)
    add("right: timer", wait_event(event))
    loop.add_signal_handler(signal.SIGUSR1, (event := asyncio.Event()).set)
    add("right: signal", wait_event(event))
    ready = asyncio.Event()
    threading.Thread(target=lambda: (time.sleep(3000), loop.call_soon_threadsafe(ready.set)), daemon=True).start()
    add("right: thread", wait_event(ready))
    add("right: owner", owner())
    refs.append(service := Service())
    keep.append(service.start())

refs = []

async def main():
    keep = []
    plant(keep)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    print(json.dumps([one for one in Touchy.touched if one]), flush=True)
    import os; os._exit(0)

if sys.argv[1:] == ["uvloop"]:
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""
ORPHANS = {
    "orphan: call",
    "orphan: event",
    "orphan: queue",
    "orphan: lock",
    "orphan: condition",
    "orphan: inside",
    "orphan: guard",
    "orphan: given away",
}


def test_what_can_never_wake_and_what_will(tmp_path: Path) -> None:
    with ExitStack() as stack:  # all at once: most of it is waiting
        watched = []
        for place, (python, loop) in enumerate(PYTHONS):
            folder = tmp_path / str(place)
            folder.mkdir()
            program = stack.enter_context(Program(PROGRAM, *filter(None, [loop]), folder=folder, python=python))
            program.expect("ready")
            watched.append((program, stack.enter_context(program.viewer(findings=True))))
        for program, viewer in watched:
            check(program, viewer)


def check(program: Program, viewer: Viewer) -> None:
    def found() -> dict[str, Any]:
        rows = next((one["sync_scan"]["stuck"] for one in reversed(viewer.frames) if "sync_scan" in one), [])
        return {viewer.facts[task]["name"]: row for row in rows if row[13] for task, _ in row[6]}

    viewer.until(lambda: set(found()) >= ORPHANS, "all orphans")
    looks = len(viewer.frames)
    viewer.until(lambda: sum("sync_scan" in one for one in viewer.frames[looks:]) >= 3, "more looks")
    rows = found()
    program.say()
    touched = json.loads(program.line())
    assert set(rows) == ORPHANS
    assert rows["orphan: event"][5] == 2
    listed = viewer.first["python"] < "3.14"  # newer ones do not list tasks that have ended
    assert [ended[0] for ended in rows["orphan: queue"][8]] == ["fails"] * listed
    assert touched == []
