"""What the probe's threads read of a program: the same in C as in Python, and the program alone lets go of its objects."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from test_hostile_classes import run, twins
from watched import Program

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the hooks in C are not built there")

STACKS = """
import types
from probes.base import stacks
from probes.decorators.wrappers import wrapped
from probes.hooks import reading
from probes.base.task_facts import coro_of
from probes.inspection import waits

async def future(): await asyncio.get_running_loop().create_future()
async def sleeps(): await asyncio.sleep(600)
async def deep(level):
    if level: await deep(level - 1)
    else: await future()

@types.coroutine
def generator_based(): yield from future()

@types.coroutine
def not_a_generator(): return future().__await__()

async def awaits_generators():
    await generator_based()

async def awaits_a_wrapper():
    await not_a_generator()

class Awaitable:
    def __await__(self): yield from inner_of_awaitable().__await__()

async def inner_of_awaitable(): await future()
async def awaits_an_object(): await Awaitable()

async def values():
    try:
        await asyncio.sleep(600)
        yield 1
    finally:
        pass

async def values_of_values():
    async for value in values(): yield value

async def iterates():
    async for value in values_of_values(): pass

async def sends(): await values().asend(None)
async def nexts(): await anext(values())
async def nexts_or(): await anext(values(), None)

async def yields_once():
    try: yield 1
    finally: await asyncio.sleep(600)

async def closes():
    made = yields_once()
    await anext(made)
    await made.aclose()

async def throws():
    made = yields_once()
    await anext(made)
    await made.athrow(ValueError)

async def gathers(): await asyncio.gather(sleeps(), future())
async def in_a_group():
    async with asyncio.TaskGroup() as group: group.create_task(sleeps())
async def times_out():
    async with asyncio.timeout(600): await future()
async def locks():
    async with lock: pass
async def gets(): await asyncio.Queue().get()
async def shields(): await asyncio.shield(future())
async def executes(): await asyncio.get_running_loop().run_in_executor(None, held.wait)

class Call:
    enter = leave = lambda self: None
    def __enter__(self): return self
    def __exit__(self, *_): pass

async def inner_of_profiled(): await future()
profiled = wrapped(inner_of_profiled, Call)

class Hostile:
    "Looks like a coroutine, and like none."
    def __getattr__(self, name): raise KeyboardInterrupt(name)
    def __await__(self): return HostileIterator()

class HostileIterator:
    cr_frame = property(lambda self: 1 / 0)
    cr_await = property(lambda self: 1 / 0)
    def __init__(self): self.made = asyncio.get_running_loop().create_future()
    def __iter__(self): return self
    def __next__(self): self.made._asyncio_future_blocking = True; return self.made
    def send(self, value): return next(self)
    def throw(self, *error): raise error[0]
    def close(self): pass

async def hostile(): await Hostile()

async def ended(): pass

class Traced(asyncio.Task): pass

async def main():
    global lock, held
    import threading
    lock, held = asyncio.Lock(), threading.Event()
    try:
        await check()
    finally:
        held.set()

async def receives():
    import socket
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        await asyncio.get_running_loop().sock_recv(ours, 1)

async def check():
    await lock.acquire()
    loop = asyncio.get_running_loop()
    each = [sleeps, future, awaits_generators, awaits_a_wrapper, awaits_an_object, iterates, sends, nexts, nexts_or, closes, throws,
            gathers, in_a_group, times_out, locks, gets, shields, executes, profiled, hostile, receives, ended]
    tasks = [asyncio.create_task(one(), name=one.__name__) for one in each]
    tasks.append(asyncio.create_task(deep(120), name="deep"))
    tasks.append(Traced(deep(3), name="subclass"))
    if sys.version_info >= (3, 12):
        tasks.append(asyncio.Task(deep(2), loop=loop, eager_start=True, name="eager"))
    if hasattr(loop, "get_debug") and type(loop).__module__.startswith("uvloop"):
        tasks.append(asyncio.create_task(loop.shutdown_default_executor(), name="of Cython"))
    await asyncio.sleep(0.05)
    native = install.native_state
    if native is None:
        print(install.HOOKS)
        return
    seen = {}
    for task in tasks:
        name = task.get_name()
        record = install.record_of(task) or install.adopt(task, None)
        theirs = [(code, line) for code, line, _ in stacks.frames_of(coro_of(task))]
        assert native.await_stack(record) == native.await_stack(task) == native.await_stack(coro_of(task)) == theirs, name
        seen[name] = len(theirs)
        places = reading.frames_of(task)
        assert [place[:2] for place in places] == theirs
        old = stacks.frames_of(coro_of(task))
        for (code, _, values), (_, _, frame) in zip(places, old):
            if values is not None:
                assert all(values[name] is frame.f_locals[name] for name in values), name
                assert set(values) == reading.NAMES & set(frame.f_locals), name
        leaf = task._fut_waiter
        found, before = waits.read(places, leaf), waits.read(old, leaf)
        assert (found and (found.kind, found.text)) == (before and (before.kind, before.text)), name
        assert name != "receives" or (found.kind, len(places)) == ("socket", 2)  # uvloop's own function is compiled
        state = native.state_of(record)
        assert state == (3 if name == "ended" else 2), (name, state)
    print(*sorted(name for name, count in seen.items() if count == 0))
    print(seen["deep"], seen["iterates"], seen["inner_of_profiled"] > 2, seen.get("of Cython", 2) > 0)
    own = native.state_of(install.record_of(asyncio.current_task()))
    print(own, native.running_record(loop) is install.record_of(asyncio.current_task()))
    held.set()
    await asyncio.sleep(0.05)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left: task.cancel()
    await asyncio.wait(left)
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_c_reads_what_python_reads(python: str, loop: str) -> None:
    """Every kind of await stack; classes that only look like coroutines; states. Nothing of theirs is called."""
    runs = "asyncio.run(main())"
    if loop == "uvloop":
        if python != sys.executable:
            pytest.skip("uvloop is installed for one Python")
        pytest.importorskip("uvloop", reason="uvloop is not installed")
        runs = "import uvloop; asyncio.Runner(loop_factory=uvloop.new_event_loop).run(main())"
    lines = run(python, "", STACKS + runs)
    assert lines == ["ended", "100 4 True True", "0 True"]


REFERENTS = """
import gc, weakref
from probes.hooks import reading
from probes.inspection import awaited_objects, queues, orphans
from probes.base.task_facts import coro_of

class Part: pass

class Registry(dict):
    "A class of the program's own with everything in it."

class Owner:
    def __init__(self):
        self.parts = [Part() for _ in range(20_000)]
        self.named, self.unique = dict(enumerate(self.parts)), Registry(enumerate(self.parts))

    async def works(self):
        own = self.parts
        await asyncio.Event().wait()

def searched(task, owner):
    coro = coro_of(task)
    before = sys.getrefcount(owner.parts[0]), sum(map(sys.getrefcount, owner.parts))
    assert not awaited_objects.reached(reading.referents(coro), {1: None})
    found = awaited_objects.AwaitedObject(weakref.ref(owner), 1, type("Wait", (), {"kind": "event", "facts": {}}))
    awaited_objects.label_of(Part(), coro, found)
    assert not orphans._tasks_in(owner.parts)
    return sum(map(sys.getrefcount, owner.parts)) - before[1]

async def main():
    for thing in (0, "", (), object, type, int, reading, gc, Part(), {1: 2, "a": []}, {1, 2, 3}, [*range(5000)],
                  dict.fromkeys(range(5000)), lambda: 0, ValueError("x"), sys._getframe(), asyncio.current_task()):
        everything = [id(held) for held in gc.get_referents(thing)]
        for most in (0, 1, 2, 10, 1000, 10**6):
            assert [id(held) for held in reading.referents(thing, most)] == everything[:most], (thing, most)
        assert len(reading.referents(thing)) == min(len(everything), 1000)
    owner = Owner()
    task = asyncio.create_task(owner.works())
    await asyncio.sleep(0)
    held = reading.read(weakref.ref(task), searched, owner)
    assert 0 <= held <= 2000, f"{held} references to the {len(owner.parts)} things of one task were held"
    task.cancel()
    print("bounded")
asyncio.run(main())
"""


@twins
def test_what_a_task_refers_to_is_read_up_to_a_limit(pure: str) -> None:
    """A search must not take longer where each task refers to a registry of all of them."""
    assert run(sys.executable, pure, REFERENTS) == ["bounded"]


ABANDONS = """
    import asyncio, gc, sys, threading, types

    its_own = {threading.get_ident()}
    elsewhere, ended = [], 0

    def note(what):
        global ended
        ended += 1
        if threading.get_ident() not in its_own:
            elsewhere.append(what)

    class Guard:
        def __init__(self, what): self.what = what
        def __del__(self): note(self.what)

    class Lock(asyncio.Lock):
        def __del__(self): note("lock")

    async def awaited():
        guard = Guard("local of a coroutine")
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)

    async def values():
        try:
            while True:
                await asyncio.sleep(0.001)
                yield 1
        finally:
            note("async generator")

    @types.coroutine
    def once(future):
        try:
            yield from future
        finally:
            note("generator")

    class Abandons:
        "Waits inside of a generator, and forgets it."
        def __init__(self, future): self.future = future
        def __await__(self):
            inner = once(self.future)
            yield inner.send(None)

    def settle(future):
        if not future.done(): future.set_result(None)

    async def abandons():
        loop = asyncio.get_running_loop()
        while True:
            await awaited()
            future = loop.create_future()
            loop.call_later(0.001, settle, future)
            await Abandons(future)

    async def abandons_async_generators():
        while True:
            async for _ in values(): break

    async def waits_for(lock):
        async with lock: pass

    async def drops_locks():
        while True:
            lock = Lock()
            async with lock:
                waiting = asyncio.create_task(waits_for(lock))
                await asyncio.sleep(0.001)
            await waiting
            lock = waiting = None

    async def short():
        guard = Guard("local of a task")
        await asyncio.sleep(0.001)

    async def fails():
        guard = Guard("local of a task that failed")
        await asyncio.sleep(0.001)
        raise LookupError

    async def spawns():
        while True:
            await asyncio.gather(*[short() for _ in range(5)], fails(), return_exceptions=True)

    def step():
        guard = Guard("local of a job")

    def job(guard):
        its_own.add(threading.get_ident())
        for _ in range(100): step()

    async def asks():
        while True:
            await asyncio.get_running_loop().run_in_executor(None, job, Guard("argument of a job"))

    def told():
        its_own.add(threading.get_ident())  # it may be this thread that drops a job that was cancelled
        input()

    async def work():
        each = (asks, abandons, abandons_async_generators, drops_locks, spawns)
        tasks = [asyncio.create_task(one()) for one in each for _ in range(10)]
        print("ready", flush=True)
        await asyncio.to_thread(told)
        for task in tasks: task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    gc.disable()  # a collection runs finalizers in the thread that starts it
    sys.setswitchinterval(1e-6)
    asyncio.run(work())
    print(ended > 100, sorted(set(elsewhere)), flush=True)
"""


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_the_program_alone_lets_go_of_its_objects(version: str, tmp_path: Path) -> None:
    """While everything is read, as often as can be, and the GIL is lost at every turn: without scopes, 100 requests
    show 10 to 20 finalizers in the probe's thread."""
    from interpreters import find_python

    python = find_python(version)
    if python is None:
        pytest.skip(f"Python {version} is not on this machine")
    env = {"LOOPTOP_DIR": os.environ["LOOPTOP_DIR"], "LOOPTOP_PURE": "0"}
    with Program(ABANDONS, folder=tmp_path, python=python, env=env) as program:
        program.expect("ready")
        with program.viewer(window=[], findings=True) as viewer:
            if not viewer.first["hooks"].startswith("C"):
                pytest.skip("the hooks in C are not here")
            for _ in range(100):
                viewer.ask("tasks", limit=100)
                viewer.ask("threads")
                known = list(viewer.facts)[-60:]
                viewer.watch(window=known, detail=known[-1], findings=True, flame=20, flame_jobs=True)
            assert viewer.probe["off"] == []
            program.say()
            program.expect("True []")
        assert program.end() == 0, program.stderr
