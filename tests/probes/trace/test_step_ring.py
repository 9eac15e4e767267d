"""The step ring as a viewer gets it, decoded from docs/protocol.md alone."""

from __future__ import annotations

import base64
import itertools
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from interpreters import find_python
from test_counting import source
from watched import Program, Viewer

STEPS = """
    import weakref
    released = []
    PACKAGE = "async def acquire(what, depth): await (acquire(what, depth - 1) if depth else what)"
    exec(compile(PACKAGE, "/opt/site-packages/somepool.py", "exec"))

    async def asks(future):
        inner = acquire(future, 0)
        released.append(weakref.ref(inner))
        await acquire(inner, 39)

    async def worker(lock):
        async with lock:
            await asyncio.sleep(0.01)

    async def ticks():
        await asyncio.sleep(0.01)
        yield 1

    async def iterates():
        async for _ in ticks():
            pass

    exec(compile("async def fetch(): await asyncio.sleep(0.01)", "/x/site-packages/httpx/pool.py", "exec"), globals())

    async def main():
        await told("ready")
        global CACHE
        lock = CACHE = asyncio.Lock()
        await asyncio.gather(iterates(), fetch())
        tasks = [asyncio.create_task(worker(lock), name=f"worker {n}") for n in range(5)]
        await asyncio.gather(*tasks)
        for _ in range(int(sys.argv[1])):
            await asyncio.sleep(0)
        late = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_at(time.monotonic() - 100, late.set_result, None)
        await late
        asked = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, asked.set_result, None)
        await asyncio.create_task(asks(asked))
        deadline = time.monotonic() + 60
        while released[0]() is not None:  # the probe's threads may read it now
            assert time.monotonic() < deadline, "what a wait was described from is kept"
            await asyncio.sleep(0.01)
        await told("over")

    run(main())
"""
STEP = range(1, 8)
WAIT, BORN, END, GC, LONG = 11, 12, 13, 14, 15
PLACE = (1 << 13) - 1
ROOM = 4 << 20


def frames(viewer: Viewer) -> list[dict[str, Any]]:
    return [frame for frame in viewer.frames if frame["type"] == "steps"]


def events(viewer: Viewer) -> list[tuple[int, ...]]:
    """Kind, loop, at (upper bits included), ran, queued, task, waker."""
    found: list[tuple[int, ...]] = []
    mark = None
    for frame in frames(viewer):
        for at, ran, queued, task, waker in struct.iter_unpack("<5I", base64.b64decode(frame["events"])):
            if ran >> 28 == 0:
                mark = task << 32 | at
            elif mark is not None:
                ahead = (at - mark) & 0xFFFFFFFF
                at = mark + ahead - (1 << 32 if ahead >> 31 else 0)
                found.append((ran >> 28, queued >> 28, at, ran & 0xFFFFFFF, queued & 0xFFFFFFF, task, waker))
    return found


def place(viewer: Viewer, number: int) -> tuple[str, int, str]:
    numbers = [0]
    for frame in frames(viewer):
        numbers[frame["places"]["from"] :] = frame["places"]["items"]
    file, line, function = viewer.sites[numbers[number & PLACE]]  # the bits above mean something else
    return Path(viewer.strings[file]).name, line, viewer.strings[function]


def test_steps_wakes_births_and_ends_of_every_task(tmp_path: Path) -> None:
    with Program(source(STEPS), "1000", folder=tmp_path) as program:
        program.expect("ready")
        with program.viewer(steps="now") as viewer:
            assert "steps" in viewer.first["capabilities"]
            viewer.until(lambda: frames(viewer), "the first mark")
            program.say()
            program.expect("over")
            viewer.until(lambda: sum(event[0] == END for event in events(viewer)) >= 8, "the ends of all eight")
            viewer.until(lambda: sum(event[0] == 2 for event in events(viewer)) >= 990, "steps after these")
            viewer.until(lambda: len(viewer.facts) >= 1, "facts")
            found = events(viewer)
            assert not any(frame["lost"] for frame in frames(viewer))
            for before, after in pairwise(frames(viewer)):
                assert after["from"] == before["to"]
            workers = {event[5]: place(viewer, event[4])[2] for event in found if event[0] == BORN}
            assert list(workers.values()).count("worker") == 5
            # Of a generator that a task iterates over, and of a framework if there is no line of the user's.
            slept = [(place(viewer, event[3])[2], place(viewer, event[4])) for event in found if event[0] == WAIT]
            lines = {users[2]: (innermost, users[0]) for innermost, users in slept if users[2] in ("ticks", "fetch")}
            assert lines == {"ticks": ("sleep", "program.py"), "fetch": ("sleep", "pool.py")}
            mains = {event[6] for event in found if event[0] == BORN}
            assert len(mains) == 1
            main = mains.pop()
            yields = [event for event in found if event[0] == 2 and event[5] == main]
            assert 990 <= len(yields) <= 1001  # `sleep(0)`: each step makes the next one ready
            assert all(event[4] < 4_000_000 for event in yields)
            ends = {event[5]: event[3] for event in found if event[0] == END}
            assert {ends[task] for task in workers} == {3}
            # All but the first worker waited for the lock, and the one before released it.
            waits = [event for event in found if event[0] == WAIT and event[5] in workers]
            locks = [event for event in waits if place(viewer, event[3])[2] == "Lock.acquire"]
            assert len(locks) == 4
            lines = {place(viewer, event[4])[1:] for event in locks}
            assert {function for _, function in lines} == {"worker"}
            assert {place(viewer, event[6] & PLACE)[2] for event in locks} == {"worker"}
            numbers = {event[6] >> 13 for event in locks}
            assert len(numbers) == 1 and 0 not in numbers  # one lock
            names = {number: viewer.strings[name] for frame in frames(viewer) for number, name in frame["objects"]}
            assert names[numbers.pop()] == "Lock CACHE"
            woken = [event for event in found if event[0] == 1 and event[5] in workers]
            assert {event[6] for event in woken} <= set(workers)
            assert len({(event[5], event[6]) for event in woken}) >= 4
            ((long, timer),) = [pair for pair in pairwise(found) if pair[0][0] == LONG]
            assert (timer[0], timer[4]) == (8, 0x0FFFFFFE)  # longer than the field holds
            assert 100 <= long[6] * 16e-6 < 100 + 60
            # A wait deep in an installed package: its innermost line, the program's own, and the package's.
            (asks,) = [event[5] for event in found if event[0] == BORN and place(viewer, event[4])[2] == "asks"]
            (deep,) = [event for event in found if event[0] == WAIT and event[5] == asks]
            assert place(viewer, deep[3]) == place(viewer, deep[3] >> 13) == ("somepool.py", 1, "acquire")
            assert place(viewer, deep[4])[2] == "asks"
            steps = sorted(event for event in found if event[0] in STEP)
            assert all(event[1] == 1 for event in steps)


EAGER = """
    async def passing():
        pass

    async def failing():
        raise ValueError("on purpose")

    async def main():
        await told("ready")
        loop = asyncio.get_running_loop()
        over = asyncio.create_task(told("many"))
        while not over.done():
            for _ in range(520):  # of 500 in a burst each end is reported by name
                asyncio.Task(passing(), loop=loop, eager_start=True)
            await asyncio.sleep(0.05)
        try:
            await asyncio.Task(failing(), loop=loop, eager_start=True)
        except ValueError:
            pass
        await told("over")

    run(main())
"""


def lived(viewer: Viewer) -> dict[int, int]:
    """How long tasks lived that have one event for birth and end."""
    births = [event for event in events(viewer) if event[0] == BORN and event[3] >> 13 | event[4] >> 13]
    return {event[5]: (event[3] >> 13 | event[4] >> 13 << 15) - 1 for event in births}


def test_eager_tasks_that_end_at_once_have_one_event(tmp_path: Path) -> None:
    python = find_python("3.12")
    if python is None:
        pytest.skip("Python 3.12 is not on this machine")
    with Program(source(EAGER), folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer(steps="now") as viewer:
            viewer.until(lambda: frames(viewer), "the first mark")
            program.say()
            program.expect("many")
            viewer.until(lambda: lived(viewer), "a task that is counted only")
            program.say()
            program.expect("over")
            viewer.until(lambda: any(event[0] == END and event[3] == 5 for event in events(viewer)), "the failure")
            found, passed = events(viewer), lived(viewer)
    made = {"passing", "failing"}
    births = [event for event in found if event[0] == BORN and place(viewer, event[4] & PLACE)[2] in made]
    ended = {event[5]: event[3] for event in found if event[0] == END}
    assert not any(frame["lost"] for frame in frames(viewer))
    assert all(0 <= lived < 4_000_000 for lived in passed.values())
    assert not passed.keys() & ended.keys()
    assert all(event[5] in passed or event[5] in ended for event in births)
    assert {ended[event[5]] for event in births if place(viewer, event[4] & PLACE)[2] == "failing"} == {5}
    assert {ended[event[5]] for event in births if event[5] in ended} <= {3, 5}
    assert passed.keys() <= {event[5] for event in births}
    assert {place(viewer, event[3] & PLACE)[2] for event in births} == {"main"}


def test_timers_of_uvloop_are_known_by_when_they_were_due(tmp_path: Path) -> None:
    pytest.importorskip("uvloop", reason="uvloop is not installed")
    script = """
        import contextlib, socket, uvloop

        async def sleeps():
            await asyncio.sleep(0.01)

        async def waits():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0.01)

        async def receives():
            ours, theirs = socket.socketpair()
            with ours, theirs:
                ours.setblocking(False)
                asyncio.get_running_loop().call_later(0.01, theirs.send, b"x")
                await asyncio.get_running_loop().sock_recv(ours, 1)

        async def main():
            await told("ready")
            await receives()
            for each in (sleeps, waits):
                tasks = [asyncio.create_task(each(), name=each.__name__)]
                await asyncio.sleep(0)
                time.sleep(0.05)
                await asyncio.gather(*tasks)
            await told("over")

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        run(main())
    """
    with Program(source(script), folder=tmp_path) as program:
        program.expect("ready")
        with program.viewer(steps="now") as viewer:
            viewer.until(lambda: frames(viewer), "the first mark")
            program.say()
            program.expect("over")
            viewer.until(lambda: sum(event[0] == END for event in events(viewer)) >= 2, "two ends")
            waits = [event for event in events(viewer) if event[0] == WAIT]
            lines = [(place(viewer, event[3]), place(viewer, event[4])[2]) for event in waits]
            assert (("loop.pyx", "sock_recv"), "receives") in [
                ((file, name), users) for (file, _, name), users in lines
            ]
            due = [event for event in events(viewer) if event[0] == 8]
            assert len(due) == 2
            assert all(event[4] >= 30 * 4000 for event in due)  # 10 ms later, while the loop was blocked for 50


def test_what_was_overwritten_before_it_was_read_is_counted(tmp_path: Path) -> None:
    number = 60_000
    with Program(source(STEPS), str(number), folder=tmp_path, settings={"trace": 0.2}) as program:
        program.expect("ready")
        with program.viewer(steps="now") as viewer:
            viewer.until(lambda: frames(viewer), "the first mark")
            program.say()
            program.expect("over")
            viewer.until(lambda: frames(viewer)[-1]["to"] > number, "the last event")
            lost = sum(frame["lost"] for frame in frames(viewer))
            for frame, following in itertools.pairwise(frames(viewer)):  # what was left has come, or was overwritten
                assert frame["to"] + frame["left"] <= following["to"] + following["left"]
                assert frame["left"] <= following["to"] - frame["to"] + following["left"]
            got = sum(len(base64.b64decode(frame["events"])) // 20 for frame in frames(viewer))
            first = frames(viewer)[0]["from"]
            assert got + lost == frames(viewer)[-1]["to"] - first + frames(viewer)[0]["lost"]


def test_the_past_of_a_fast_program_is_not_overwritten_while_it_is_sent(tmp_path: Path) -> None:
    script = """
        async def main():
            for _ in range(150_000):
                await asyncio.sleep(0)
            await told("ready")
            for _ in range(250_000):
                await asyncio.sleep(0)
            await told("over")

        run(main())
    """
    with Program(source(script), folder=tmp_path) as program:
        program.expect("ready")
        with program.viewer(steps="past") as viewer:
            viewer.until(lambda: frames(viewer), "the first piece")
            program.say()
            program.expect("over")  # what is not read yet has been overwritten in the ring
            first = frames(viewer)[0]
            end = first["to"] + first["left"]
            assert end >= 150_000
            viewer.until(lambda: frames(viewer)[-1]["to"] >= end, "the last piece")
            past = [frame for frame in frames(viewer) if frame["to"] <= end]
            assert past[-1]["to"] == end
            assert past[-1]["left"] == 0
            assert not any(frame["lost"] for frame in past)
            assert all(frame["to"] == following["from"] for frame, following in pairwise(past))
            assert sum(len(base64.b64decode(frame["events"])) // 20 for frame in past) == end - first["from"]


def test_hooks_in_python_and_no_room_record_no_steps_and_say_so(tmp_path: Path) -> None:
    for settings, pure in (({}, "1"), ({"trace": 0}, "")):
        with Program(source(STEPS), "10", folder=tmp_path, settings=settings, env={"LOOPTOP_PURE": pure}) as program:
            program.expect("ready")
            with program.viewer(steps="now") as viewer:
                assert "steps" not in viewer.first["capabilities"]
                program.say()
                program.expect("over")
                viewer.until(lambda: len([f for f in viewer.frames if f["type"] == "tick"]) > 3, "ticks")
                assert frames(viewer) == []


def test_collections_of_garbage_are_in_the_ring_also_from_before_the_viewer(tmp_path: Path) -> None:
    script = """
        async def main():
            import gc
            heap = [[number] for number in range(300_000)]
            gc.collect()
            await told(str(gc.callbacks))

        run(main())
    """
    with Program(source(script), folder=tmp_path) as program:
        program.expect("[]")
        with program.viewer(steps="past") as viewer:
            viewer.until(lambda: [event for event in events(viewer) if event[0] == GC and event[5] == 2], "a full one")
        program.say()
