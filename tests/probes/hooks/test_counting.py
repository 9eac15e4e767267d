"""What is counted is right: known workloads in programs of every Python, read by a viewer over a real socket."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from interpreters import version_of
from waiting import waited_for_cpu
from watched import Program

WAITS = """
    import asyncio, sys, time

    async def told(what=None):
        '''Says that it is ready, and waits for a line on stdin, without a step of the loop in between.'''
        if what: print(what, flush=True)
        return await asyncio.to_thread(sys.stdin.readline)

    def spin(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end: pass
"""
UVLOOP = """
    import uvloop
    run = uvloop.run if sys.version_info >= (3, 12) else lambda main: asyncio.Runner(loop_factory=uvloop.new_event_loop).run(main)
"""


def source(body: str, setup: str = "run = asyncio.run\n") -> str:
    import textwrap

    return textwrap.dedent(WAITS) + "\n" + textwrap.dedent(setup) + "\n" + textwrap.dedent(body)


WORK = """
    async def steps(number):
        for _ in range(number):
            await asyncio.sleep(0)
        await told_once.wait()

    async def busy():
        spin(0.05); await asyncio.sleep(0); spin(0.02)
        await told_once.wait()

    async def queued():
        await asyncio.sleep(0)
        await told_once.wait()

    def nothing(): pass

    async def main():
        global told_once
        told_once = asyncio.Event()
        await told("ready")
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        made = [asyncio.create_task(steps(n), name=f"steps {n}") for n in (0, 1, 100)]
        made.append(asyncio.create_task(busy(), name="busy"))
        made.append(asyncio.create_task(queued(), name="queued"))   # ready while busy spins
        cancelled = asyncio.create_task(told_once.wait(), name="cancelled")
        for _ in range(50): loop.call_soon(nothing)
        await asyncio.sleep(0.15)
        loop.call_later(0.01, cancelled.cancel)
        await asyncio.gather(cancelled, return_exceptions=True)
        await told(f"worked {time.monotonic() - began}")
        told_once.set()
        await asyncio.gather(*made)
        await told("over")

    run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_steps_busy_and_scheduled(python: str, tmp_path: Path, loop: str) -> None:
    if loop == "uvloop":
        if python != sys.executable:
            pytest.skip("uvloop is only in the environment of this Python")
        pytest.importorskip("uvloop", reason="uvloop is not installed")
    with Program(
        source(WORK, UVLOOP if loop == "uvloop" else "run = asyncio.run\n"), folder=tmp_path, python=python
    ) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(2)
            program.say()
            span = float(program.line().removeprefix("worked ")) * 1e6  # no figure is more than the time there was
            viewer.ticks(2)
            for number in (0, 1, 100):
                task = viewer.named(f"steps {number}")
                assert task["steps"] == number + 1
                assert task["state"] == "waiting"
                assert task["counted"] is None and task["born"] > 1.6e15
            busy = viewer.named("busy")
            assert busy["steps"] == 2
            assert 65_000 <= busy["busy"] <= busy["busy"] + busy["scheduled"] <= span
            assert 45_000 <= busy["max_step"] <= busy["busy"] - 15_000
            queued = viewer.named("queued")
            assert queued["scheduled"] >= 60_000, "it waited behind both spins"
            assert queued["busy"] + queued["scheduled"] <= span
            assert busy["busy"] + queued["busy"] <= span, "one runs at a time"
            (cancelled,) = [event for event in viewer.of_kind("task_ended") if event["name"] == "cancelled"]
            assert (cancelled["outcome"], cancelled["steps"]) == ("cancelled", 2), "task.cancel itself is no step"
            assert viewer.facts[cancelled["task"]]["parent"] == viewer.named("Task-1")["id"]
            kinds = {facts["kind"] for facts in viewer.loops.values()}
            assert kinds == {loop}
            (of_loop,) = viewer.loops.values()
            assert of_loop["steps"] >= 100 + 2 + 2 + 2 + 1 and of_loop["busy"] >= 65_000
            assert of_loop["name"] == "MainThread"
            assert viewer.at("main")["born"] == 6
            program.say()
            program.expect("over")
            viewer.until(lambda: viewer.at("main")["ended"] == 6, "all ends")
            counts = viewer.at("main")
            assert counts["cancelled"] == 1 and counts["failed"] == 0
            assert counts["steps"] == (1 + 2 + 101) + 2 + 2 + 2 + 5, "each is woken once more for its end"
            assert viewer.named("busy")["state"] == "done"
            program.say()
            assert program.end() == 0
            assert not viewer.probe["off"]


def test_an_eager_child_is_not_its_creators_work(tmp_path: Path, python: str) -> None:
    if version_of(python) < (3, 12):
        pytest.skip("Python 3.11 has no eager tasks")
    body = """
        async def child(seconds, inner=0):
            spin(seconds)
            if inner:
                asyncio.create_task(child(inner), name=f"inner {inner}")
            await gate.wait()

        async def at_once():
            spin(0.03)

        async def grandparent():
            spin(0.01)
            asyncio.create_task(child(0.05, 0.04), name="outer")
            asyncio.create_task(at_once(), name="at once")
            spin(0.01)
            await gate.wait()

        async def late():
            spin(0.15)
            await asyncio.sleep(0)
            spin(0.15)

        async def main():
            global gate
            gate = asyncio.Event()
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            await told("ready")
            loop = asyncio.get_running_loop()
            loop.set_task_factory(None)
            began = time.monotonic()
            asyncio.create_task(grandparent(), name="grandparent")
            loop.set_task_factory(asyncio.eager_task_factory)
            await asyncio.sleep(0)
            await told(f"worked {time.monotonic() - began}")
            await asyncio.create_task(late())
            await told("late")

        run(main())
    """
    with Program(source(body), folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(2)
            program.say()
            span = float(program.line().removeprefix("worked ")) * 1e6
            viewer.ticks(2)
            # A task that starts eagerly is named after its first step (3.12), and a tick may have told of it before.
            viewer.watch(rate=20, window=list(viewer.facts))
            parent, outer, inner = (viewer.named(name) for name in ("grandparent", "outer", "inner 0.04"))
            viewer.until(lambda: viewer.of_kind("task_ended"), "the end of the one that ended at once")
            (at_once,) = [event for event in viewer.of_kind("task_ended") if event["name"] == "at once"]
            assert parent["busy"] >= 18_000 and outer["busy"] >= 45_000 and inner["busy"] >= 38_000
            assert at_once["steps"] == 1 and at_once["busy"] >= 28_000
            each = [task["busy"] for task in (parent, outer, inner, at_once)]
            assert sum(each) <= span, "the children ran for 120 ms inside their parent's step: no time counts twice"
            assert outer["flags"] & 2 and inner["flags"] & 2 and not parent["flags"] & 2
            assert outer["parent"] == parent["id"]
            assert inner["parent"] == outer["id"], "the task that was current at its creation"
            assert (parent["steps"], outer["steps"], inner["steps"]) == (1, 1, 1)
            assert viewer.at("child")["born"] == 1 and viewer.at("grandparent")["born"] == 2
            assert len([name for name in viewer.names() if name == "outer"]) == 1
            program.say()
            program.expect("late")
            # It ends in that step, and before 3.12.2 such a task can no longer be asked what it was.
            viewer.until(lambda: [e for e in viewer.of_kind("slow_callback") if e["callback"] == "late"], "its name")
            slow = viewer.of_kind("slow_callback")
            files = {file for event in slow for file, _, _ in viewer.stack(event["stack"])}
            assert not [file for file in files if "births" in file], "the probe never shows itself"
            program.say()
            assert program.end() == 0


def test_creation_sites_are_the_users_lines(tmp_path: Path, python: str) -> None:
    body = """
        async def child():
            await gate.wait()

        async def by_create_task():
            return [asyncio.create_task(child(), name="by create_task")]          # site create_task

        async def by_gather():
            await asyncio.gather(child())                                         # site gather

        async def by_group():
            async with asyncio.TaskGroup() as group:
                group.create_task(child(), name="by group")                       # site group

        async def by_ensure():
            return asyncio.ensure_future(child())                                 # site ensure

        async def by_wait_for():
            await asyncio.wait_for(child(), 60)                                   # site wait_for

        async def by_as_completed():
            for first in asyncio.as_completed([child()]):                         # site as_completed
                await first

        def helper(coro):
            return asyncio.get_running_loop().create_task(coro, name="by helper") # site helper

        async def on_connection(reader, writer):                                  # site connection
            await gate.wait()

        import plumbing

        def from_callback():
            asyncio.create_task(child(), name="by callback")                      # site callback

        async def from_comprehension():
            return [asyncio.create_task(child()) for _ in range(2)]               # site comprehension

        async def through():
            return await plumbing.serve(child, "through plumbing")                # site through

        async def within():
            return await plumbing.serve(child, "within plumbing")                 # site within

        async def main():
            global gate
            gate = asyncio.Event()
            await told("ready")
            keep = [await asyncio.create_task(each) for each in (
                plumbing.serve(child, "by plumbing"), plumbing.serve(None, "", within), through(),
                plumbing.serve(child, "by plumbing again"))]
            keep += [asyncio.create_task(each(), name=each.__name__) for each in (
                by_create_task, by_gather, by_group, by_ensure, by_wait_for, by_as_completed, from_comprehension)]
            keep.append(helper(child()))
            asyncio.get_running_loop().call_soon(from_callback)
            server = await asyncio.start_server(on_connection, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            await asyncio.sleep(0.1)
            await told("worked")
            writer.close()

        run(main())                                                               # site main
    """
    text = source(body)
    lines = {
        line.rpartition("# site ")[2]: number for number, line in enumerate(text.splitlines(), 1) if "# site " in line
    }
    (tmp_path / "plumbing.py").write_text(
        "import asyncio\n"
        "async def serve(made, name, inner=None):\n"
        "    return asyncio.create_task(made(), name=name) if inner is None else await inner()\n"
    )
    settings = {"expect": 10, "skip": "plumbing.py"}
    with Program(text, folder=tmp_path, python=python, settings=settings) as program:
        program.expect("ready")
        with program.viewer(origins=10) as viewer:
            viewer.ticks(2)
            program.say()
            program.expect("worked")
            viewer.ticks(2)
            found: dict[int, set[str]] = {}
            for facts in viewer.facts.values():
                file, line, function = viewer.site(facts["site"])
                assert file == "program.py", f"{facts['name']} was born in {file}:{line}"
                found.setdefault(line, set()).add(function)
            new = version_of(python) >= (3, 12)
            expected = {key: number for key, number in lines.items() if not (new and key == "wait_for")}
            missing = {key: number for key, number in expected.items() if number not in found}
            assert not missing, f"{missing} of {found}"
            assert found[lines["helper"]] == {"helper"}
            for name in ("by plumbing", "by plumbing again"):  # only the loop called it
                assert viewer.site(viewer.named(name)["site"])[2] == "child"
            assert found[lines["connection"]] == {"on_connection"}
            detail = viewer.details_of("by helper")
            origin = viewer.stack(detail["origin"])
            assert [entry[2] for entry in origin if entry[0] == "program.py"] == ["helper", "main"]
            program.say()
            program.end()


def test_names_parents_and_tasks_older_than_the_probe(tmp_path: Path, python: str) -> None:
    body = """
        import probes

        async def waits():
            await gate.wait()

        async def parent():
            asyncio.create_task(waits(), name="child")
            await gate.wait()

        async def main():
            global gate
            gate = asyncio.Event()
            old = asyncio.create_task(waits(), name="old")
            await asyncio.sleep(0)
            assert probes.install() is probes.install()
            young = asyncio.create_task(parent(), name="parent")
            await told("ready")
            young.set_name("renamed")
            direct = asyncio.Task(waits(), name="passed no hook")
            del direct
            keeps = [asyncio.create_task(waits())]
            keeps[0].set_name("named later")
            await told("renamed")

        run(main())
    """
    with Program(source(body), folder=tmp_path, python=python, boot=False) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(2)
            old = viewer.named("old")
            assert old["born"] is None and old["flags"] & 1 and old["counted"] is not None
            assert viewer.sites[old["site"]][1] == 0, "nobody knows where it was made"
            young, child = viewer.named("parent"), viewer.named("child")
            assert young["born"] is not None
            assert (young["counted"] is None) == (viewer.first["hooks"] == "C"), "older than the first viewer"
            assert child["parent"] == young["id"]
            program.say()
            program.expect("renamed")
            viewer.watch(window=[young["id"]])
            assert viewer.named("renamed")["id"] == young["id"]
            native = viewer.first["hooks"] == "C"
            assert (viewer.named("passed no hook")["born"] is None) == (not native)
            assert viewer.named("named later")["born"] is not None
            program.say()
            program.end()


def test_a_task_that_is_collected_while_pending_is_gone(tmp_path: Path, python: str) -> None:
    body = """
        import gc

        async def orphan():
            await asyncio.get_running_loop().create_future()

        async def main():
            gc.disable()  # else it may be collected before anybody has seen it
            asyncio.create_task(orphan(), name="orphan")
            await told("ready")
            gc.collect()
            await told("collected")

        run(main())
    """
    with Program(source(body), folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            orphan = viewer.named("orphan")
            program.say()
            program.expect("collected")
            viewer.until(lambda: orphan["id"] in viewer.gone, "the orphan to be gone")
            assert not [event for event in viewer.of_kind("task_ended") if event["task"] == orphan["id"]]
            assert "destroyed but it is pending" in program.stderr
            program.say()
            program.end()


def test_ends_are_told_with_their_exceptions_and_bounded(tmp_path: Path, python: str) -> None:
    body = """
        class Refuses(Exception):
            def __str__(self): raise RuntimeError("not even a text")

        def deep(level):
            if level == 0: raise ValueError("x" * 10_000)
            deep(level - 1)

        async def fails(): deep(3)
        async def refuses(): raise Refuses
        async def endless(): (lambda f: f(f))(lambda f: f(f))
        async def fine(n): return n

        async def main():
            await told("ready")
            tasks = [asyncio.create_task(each(), name=each.__name__) for each in (fails, refuses, endless)]
            await asyncio.gather(*tasks, return_exceptions=True)
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda loop, context: None)
            loop.call_soon(deep, 1)
            await asyncio.sleep(0.1)
            await told("failed")
            await asyncio.gather(*(fine(n) for n in range(300)))
            await told("many")

        run(main())
    """
    with Program(source(body), folder=tmp_path, python=python, settings={"ended": 50}) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(1)
            program.say()
            program.expect("failed")
            viewer.ticks(3)
            ends = {event["name"]: event for event in viewer.of_kind("task_ended")}
            failed = ends["fails"]["exception"]
            assert failed["type"] == "ValueError" and failed["message"].startswith("xxx")
            assert len(failed["message"]) <= 600
            assert [entry[2] for entry in viewer.stack(failed["traceback"])] == ["fails"] + ["deep"] * 4
            assert ends["refuses"]["exception"]["type"] == "Refuses"
            assert "RuntimeError" in ends["refuses"]["exception"]["message"]
            assert ends["endless"]["exception"]["type"] == "RecursionError"
            assert len(ends["endless"]["exception"]["traceback"]) <= 100
            assert all(end["outcome"] == "failed" for end in (ends["fails"], ends["refuses"], ends["endless"]))
            (unhandled,) = viewer.of_kind("unhandled")
            assert unhandled["message"].startswith("Exception in callback deep(")
            assert viewer.stack(unhandled["exception"]["traceback"])[-1][2] == "deep"
            program.say()
            program.expect("many")
            viewer.ticks(3)
            with program.viewer() as late:
                late.ticks(2)
                outcomes = [end["outcome"] for end in late.of_kind("task_ended")]
                assert 0 < outcomes.count("done") <= 50
                assert outcomes.count("failed") == 3, "ends that went well push no failure out"
                coros = {end["coro"] for end in late.of_kind("task_ended")}
                assert coros == {"fails", "refuses", "endless", "fine"}
                assert len(late.of_kind("unhandled")) == 1, "ends of tasks push nothing else out"
            program.say()
            program.end()


def test_churn_is_counted_exactly(tmp_path: Path, python: str) -> None:
    body = """
        async def short(n):
            if n % 2: await asyncio.sleep(0)
            if n % 10 == 3: raise ValueError(n)
            if n % 10 == 5: asyncio.current_task().cancel(); await asyncio.sleep(0)

        async def makes(number):
            for start in range(0, number, 100):
                tasks = []
                for n in range(start, start + 100): tasks.append(asyncio.create_task(short(n)))
                await asyncio.wait(tasks)

        async def main():
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
            await told("ready")
            await makes(20_000)
            await told("made")

        run(main())
    """
    with Program(source(body), folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer(rate=4) as viewer:
            viewer.ticks(1)
            program.say()
            viewer.until(lambda: program.out[-1:] == ["made"], "20,000 tasks", 60)
            viewer.until(lambda: viewer.at("makes")["ended"] >= 20_000, "all of them counted")
            found = viewer.at("makes")
            assert {key: found[key] for key in ("born", "ended", "failed", "cancelled")} == {
                "born": 20_000,
                "ended": 20_000,
                "failed": 2_000,
                "cancelled": 2_000,
            }
            assert found["steps"] == 20_000 + 10_000 + 2_000
            # Not one for each task, however long it takes.
            assert len(viewer.sizes) < max(10_000, 100 * viewer.ticked) and max(viewer.sizes) < 1 << 20
            program.say()
            program.end()


def test_several_loops_in_threads_one_after_another_and_again(tmp_path: Path, python: str) -> None:
    body = """
        import threading

        async def inside(name, steps):
            asyncio.current_task().set_name(name)
            for _ in range(steps): await asyncio.sleep(0)
            ready.release(); await asyncio.to_thread(gate.wait)

        ready, gate = threading.Semaphore(0), threading.Event()
        print("ready", flush=True); sys.stdin.readline()
        threads = [threading.Thread(target=lambda n=n: asyncio.run(inside(f"in thread {n}", n * 10)), name=f"thread {n}") for n in (1, 2, 3)]
        for thread in threads: thread.start()
        for thread in threads: ready.acquire()
        print("three", flush=True); sys.stdin.readline()
        gate.set()
        for thread in threads: thread.join()
        again = asyncio.new_event_loop()
        for turn in (1, 2):
            again.run_until_complete(asyncio.sleep(0.001))
            time.sleep(0.9)
        gate.clear()
        task = again.create_task(inside("restarted", 5))
        again.run_until_complete(asyncio.sleep(0.2))
        print("again", flush=True); sys.stdin.readline()
        gate.set()
        again.run_until_complete(task)
    """
    with Program(source(body), folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(1)
            assert not viewer.loops
            program.say()
            program.expect("three")
            viewer.ticks(2)
            for number in (1, 2, 3):
                task = viewer.named(f"in thread {number}")
                assert task["steps"] == number * 10 + 1
                assert viewer.loops[task["loop"]]["name"] == f"thread {number}"
            assert len(viewer.loops) == 3
            program.say()
            program.expect("again")
            viewer.ticks(2)
            task = viewer.named("restarted")
            assert task["steps"] == 6
            rows = [row for frame in viewer.frames if frame["type"] == "tick" for row in frame.get("loops", ())]
            lag = max(row[1] for row in rows if row[0] == task["loop"])
            assert lag < 850_000 + waited_for_cpu(program.pid) * 1e6, "the time between two runs of a loop is no lag"
            program.say()
            assert program.end() == 0


def test_lag_utilization_and_the_running_task(tmp_path: Path, python: str) -> None:
    body = """
        import threading

        async def blocks():
            print("blocks", flush=True)
            spin(0.6)
            while seen.is_alive(): spin(0.01)  # until it was seen to be blocked
            await told("over")

        async def main():
            global seen
            for _ in range(7): asyncio.get_running_loop().call_later(600, print)
            await told("ready")
            seen = threading.Thread(target=sys.stdin.readline)
            seen.start()
            await asyncio.create_task(blocks(), name="blocks")

        run(main())
    """
    with Program(source(body), folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(4)
            (loop,) = viewer.loops.values()
            assert loop["timers"] == 7 and loop["running"] is None
            # A look may fall into one of the beats, which are callbacks of the loop like any other.
            viewer.until(lambda: viewer.loops[loop["id"]]["blocked"] == 0, "a look at an idle loop")
            idle = loop["busy"]
            began = time.monotonic()
            program.say()
            program.expect("blocks")
            loops = viewer.loops
            number = loop["id"]
            viewer.until(lambda: loops[number]["running"] == viewer.number("blocks"), "the running task")
            viewer.until(lambda: loops[number]["blocked"] > 200_000, "ticks while the loop is blocked")
            assert viewer.rows[viewer.number("blocks")]["state"] == "running"
            assert viewer.rows[viewer.number("blocks")]["busy"] > 100_000, "it grows while it runs"
            program.say()
            program.expect("over")
            viewer.ticks(3)
            assert loops[number]["busy"] - idle >= 550_000
            worst = max(row[1] for frame in viewer.frames for row in frame.get("loops", ()) if len(row) > 4)
            assert 450_000 < worst < (time.monotonic() - began) * 1e6
            assert loops[number]["running"] is None

            def process() -> dict[str, int]:
                return [frame["process"] for frame in viewer.frames if "process" in frame][-1]

            viewer.until(lambda: process()["cpu"] > 200_000, "the CPU time of the process, told once a second")
            assert process()["rss"] > 1e6 and process()["threads"] >= 3 and process()["fds"] > 3
            program.say()
            program.end()


def test_histograms_of_the_task_that_is_looked_at(tmp_path: Path, python: str) -> None:
    body = """
        async def worker():
            while True:
                spin(0.003)
                await asyncio.sleep(0.01)

        async def main():
            task = asyncio.create_task(worker(), name="worker")
            await told("ready")

        run(main())
    """
    with Program(source(body), folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.ticks(1)
            number = viewer.number("worker")

            def unseen() -> int:
                return viewer.rows[number]["steps"]

            before = unseen()
            detail = viewer.details_of("worker")
            viewer.ticks(1)
            assert sum(detail["histogram"]["steps"]) <= unseen() - before

            def undisturbed() -> int:
                return viewer.detail["histogram"]["steps"][12] if viewer.detail else 0

            viewer.until(lambda: undisturbed() >= 5, "steps of 3 ms in the bucket of 2 to 4 ms")
            steps = viewer.detail["histogram"]["steps"]
            assert len(steps) == 32 and sum(steps[:12]) == 0
            assert sum(viewer.detail["histogram"]["schedules"]) == sum(steps)
            viewer.watch(detail=None)
            viewer.ticks(3)
            before = unseen()
            viewer.watch(detail=number)
            viewer.detail = None
            detail = viewer.until(lambda: viewer.detail, "detail again")
            viewer.ticks(1)
            assert sum(detail["histogram"]["steps"]) <= unseen() - before, "nothing was kept while nobody looked"
            program.say()
            program.end()


def test_nothing_keeps_a_failed_task_or_callback_alive(tmp_path: Path, python: str) -> None:
    body = """
        import gc, weakref

        class Thing:
            def fails(self, other): raise ValueError("callback")

        async def fails(): raise ValueError("task")

        async def main():
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: kept.append(context["exception"]))
            await told("ready")
            gc.collect(); gc.disable()
            thing, other = Thing(), Thing()
            task = asyncio.create_task(fails(), name="fails")
            refs = [weakref.ref(each) for each in (thing, other, task)]
            asyncio.get_running_loop().call_soon(thing.fails, other)
            await asyncio.sleep(0.05)
            del thing, task
            await until(lambda: len(kept) == 2 and refs[2]() is None)
            print([type(error).__name__ for error in kept], refs[2]() is None, flush=True)
            kept.clear()
            del other
            await asyncio.sleep(0.05)
            gc.collect()  # asyncio's own `_run` keeps the context of a failed callback in its frame
            await until(lambda: not any(ref() for ref in refs))
            print([ref() for ref in refs], flush=True)

        async def until(condition):
            # The probe's threads hold things for a moment, which is long on a crowded machine.
            end = time.monotonic() + 60
            while not condition() and time.monotonic() < end: await asyncio.sleep(0.01)

        kept = []
        run(main())
    """
    with Program(source(body), folder=tmp_path, python=python) as program:
        program.expect("ready")
        with program.viewer(rate=4) as viewer:
            viewer.ticks(2)
            program.say()
            program.expect("['ValueError', 'ValueError'] True")
            program.expect("[None, None, None]")
            assert program.end() == 0


def test_an_exception_of_a_task_without_a_record_is_not_that_of_a_dead_one_at_its_address(tmp_path: Path) -> None:
    body = """
        async def nothing(): pass

        async def main():
            dead = [asyncio.create_task(nothing(), name="dead") for _ in range(100)]
            await asyncio.sleep(0)
            addresses = {id(task) for task in dead if task.done()}
            del dead
            others = [asyncio.Task(nothing(), name="other") for _ in range(200)]  # no hook in Python sees them
            there = [task for task in others if id(task) in addresses][0]
            asyncio.get_running_loop().call_exception_handler({"message": "what it did", "task": there})
            del there
            await asyncio.gather(*others)
            await told("ready")

        run(main())
    """
    with Program(source(body), folder=tmp_path, env={"LOOPTOP_PURE": "1"}) as program:
        program.expect("ready")
        with program.viewer() as viewer:
            viewer.until(lambda: viewer.of_kind("unhandled"), "the exception")
            (event,) = viewer.of_kind("unhandled")
            assert (event["name"], event["coro"], event["task"], event["site"]) == ("other", "nothing", None, 0)


def test_a_beat_from_before_a_restart_is_no_lag() -> None:
    from probes.hooks.records import LoopRecord
    from probes.sampling.watchdog import Watchdog

    class Loop:
        def call_soon_threadsafe(self, callback: object) -> None:
            self.callback = callback

    loop = Loop()
    record = LoopRecord(loop, 1, "asyncio", True)
    Watchdog()._beat(loop, record, 1.0)
    record.beat_sent = 0.0  # the loop was stopped, and starts again much later
    loop.callback()
    assert record.lag == record.lag_peak == 0.0


def test_a_slow_callback_is_lag_although_no_beat_was_sent() -> None:
    from probes.hooks.records import LoopRecord
    from probes.sampling.watchdog import Watchdog

    class Loop:
        pass

    loop = Loop()
    record = LoopRecord(loop, 1, "asyncio", True)
    Watchdog().record_slow(
        record, print, None, started=10.0, elapsed=0.4
    )  # a C call that kept the GIL: no beat meanwhile
    assert record.lag_peak == 0.4


def test_a_callback_that_never_ends_is_sampled_in_bounded_memory() -> None:
    from probes.hooks.records import LoopRecord
    from probes.sampling.stack_samples import MOST_SAMPLES
    from probes.sampling.watchdog import Watchdog

    class Loop:
        pass

    loop = Loop()
    record, unclocked = LoopRecord(loop, 1, "asyncio", True), LoopRecord(loop, 2, "uvloop", False)
    watchdog = Watchdog()
    here = (
        ((test_a_beat_from_before_a_restart_is_no_lag.__code__, 1),),
        ((test_a_beat_from_before_a_restart_is_no_lag.__code__, 2),),
    )
    looks = 10 * MOST_SAMPLES
    record.started = watchdog._looked = unclocked.answered = 1.0
    for number in range(1, looks + 1):
        now = 1.0 + number / 64
        watchdog._sample(record, 1.0, now, here[number > looks * 0.7])
        watchdog._sample_unclocked(unclocked, now, here[number > looks * 0.7])
        watchdog._looked = now
        assert len(record.samples) <= MOST_SAMPLES and len(unclocked.between) <= MOST_SAMPLES
    watchdog.threshold = 1.0
    watchdog.record_slow(record, print, None, started=1.0, elapsed=looks / 64)
    (slow,) = watchdog.caught
    assert slow.heaviest()[0] == here[0] and 0.6 < slow.heaviest()[1] / slow.duration < 0.8
    assert sum(seconds for _, seconds in slow.samples) == pytest.approx(looks / 64)


def test_records_of_tasks_that_are_no_more_go_without_a_viewer(python: str, tmp_path: Path) -> None:
    body = """
        async def nothing(): pass

        async def main():
            probe = sys._looptop_probe
            records = sys.modules["_looptop_probes.hooks.install"].records
            await asyncio.gather(*[nothing() for _ in range(5000)])
            print("many" if len(records) > 4000 else len(records), flush=True)
            probe.counting.prune_every = 0.05
            await asyncio.sleep(0.1)
            probe.counting.next_prune = 0.0
            probe.server.wake()
            end = time.monotonic() + 60
            while len(records) > 500 and time.monotonic() < end:
                await asyncio.sleep(0.05)
            print("few" if len(records) <= 500 else len(records), flush=True)

        run(main())
    """
    with Program(source(body), folder=tmp_path, python=python, settings={"history": False}) as program:
        program.expect("many")
        program.expect("few")
        assert program.end() == 0, program.stderr
