"""Await stacks and what a task waits on, for every kind that docs/protocol.md names, on every Python and on uvloop."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest
from test_counting import UVLOOP, source
from watched import Program

BODY = """
    import socket, subprocess, threading

    async def sleeps(): await asyncio.sleep(600)
    async def future(): await asyncio.get_running_loop().create_future()
    async def task(): await forever
    async def holds():
        async with lock: await gate.wait()
    async def locks():
        async with lock: pass
    async def event(): await gate.wait()
    async def condition():
        async with cond: await cond.wait()
    async def condition_for():
        async with cond: await cond.wait_for(lambda: False)
    async def semaphore():
        async with sem: pass
    async def barrier(): await bar.wait()
    async def gets(): await empty.get()
    async def puts(): await full.put(2)
    async def joins(): await full.join()
    async def reads(): await reader.readline()
    async def sock_recv(): await asyncio.get_running_loop().sock_recv(ours, 10)
    async def serves(): await server.serve_forever()
    async def executes(): await asyncio.get_running_loop().run_in_executor(None, held.wait)
    async def threads(): await asyncio.to_thread(held.wait)
    async def process(): await child.wait()
    async def process_reads(): await child.stdout.read()
    async def gathers(): await asyncio.gather(slow_one("g1"), slow_one("g2"))
    async def waits(): await asyncio.wait([asyncio.create_task(slow_one("w1"), name="w1")])
    async def group():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(slow_one("in group"), name="in group")
    async def waits_for(): await asyncio.wait_for(slow_one("wf"), 600)
    async def times_out():
        async with asyncio.timeout(600): await slow_one("t")
    async def shields(): await asyncio.shield(forever)
    async def as_completed():
        for each in asyncio.as_completed([forever]): await each
    async def drains():
        writer.write(b"x" * 50_000_000)
        await writer.drain()

    async def slow_one(name):
        await asyncio.sleep(600)

    async def generator():
        await asyncio.sleep(600)
        yield 1

    async def inner_generator():
        async for value in generator():
            yield value

    async def unnamed():
        await asyncio.create_task(slow_one("unnamed"))

    async def iterates():
        async for value in inner_generator(): pass

    class Awaitable:
        def __await__(self):
            yield from slow_one("awaitable").__await__()

    async def deep(level):
        if level: await deep(level - 1)
        else: await Awaitable()

    async def ready():
        while True: await asyncio.sleep(0)

    async def main():
        global lock, gate, cond, sem, bar, empty, full, reader, writer, ours, server, child, forever, held
        loop = asyncio.get_running_loop()
        lock, gate, cond, sem = asyncio.Lock(), asyncio.Event(), asyncio.Condition(), asyncio.Semaphore(0)
        bar, empty, full = asyncio.Barrier(3), asyncio.Queue(), asyncio.Queue(1)
        full.put_nowait(1)
        held = threading.Event()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        async def silent(reader, writer): await gate.wait()
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        forever = asyncio.create_task(slow_one("forever"), name="forever")
        keep = [asyncio.create_task(holds(), name="holds")]
        await asyncio.sleep(0)
        for each in (sleeps, future, task, locks, event, condition, condition_for, semaphore, barrier, gets, puts, joins, reads,
                     sock_recv, serves, executes, threads, process, process_reads, gathers, waits, group, waits_for, times_out,
                     shields, as_completed, drains, iterates, unnamed):
            keep.append(asyncio.create_task(each(), name=each.__name__))
        keep.append(asyncio.create_task(deep(4), name="deep"))
        await asyncio.sleep(0.1)
        await told("ready")
        held.set(); child.kill(); writer.transport.abort()
        for each in asyncio.all_tasks() - {asyncio.current_task()}: each.cancel()
        await asyncio.sleep(0.05)
        await told("over")

    run(main())
"""

KINDS = {
    "sleeps": "sleep",
    "future": "future",
    "task": "task",
    "locks": "lock",
    "event": "event",
    "condition": "condition",
    "condition_for": "condition",
    "semaphore": "semaphore",
    "barrier": "barrier",
    "gets": "queue",
    "puts": "queue",
    "joins": "queue",
    "reads": "socket",
    "sock_recv": "socket",
    "serves": "socket",
    "executes": "executor",
    "threads": "executor",
    "process": "subprocess",
    "process_reads": "subprocess",
    "gathers": "gather",
    "waits": "gather",
    "group": "gather",
    "times_out": "sleep",
    "shields": "task",
    "unnamed": "task",
    "drains": "socket",
    "iterates": "sleep",
    "deep": "sleep",
    "holds": "event",
}


@pytest.fixture(scope="module", params=["3.11", "3.12", "3.13", "uvloop"])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """The details of all tasks of the program above, by name; looked at once for each Python."""
    from interpreters import find_python

    folder: Path = tmp_path_factory.mktemp("w")
    if request.param == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop is not installed")
        python, setup = sys.executable, UVLOOP
    else:
        found = find_python(request.param)
        if found is None:
            pytest.skip(f"Python {request.param} is not on this machine")
        python, setup = found, "run = asyncio.run\n"
    env, began = {"LOOPTOP_DIR": str(folder / "r")}, time.time()
    with Program(source(BODY, setup), folder=folder, python=python, env=env) as program:
        program.expect("ready")
        with program.viewer(window=[]) as viewer:
            viewer.until(lambda: len(viewer.facts) > 30 and viewer.left == 0, "all tasks")
            viewer.watch(window=list(viewer.facts)[:200])
            viewer.ticks(2)
            details = {}
            for number, facts in list(viewer.facts.items()):
                replies = viewer.ask("tasks", ids=[number])
                for reply in replies:
                    for detail in reply["details"]:
                        details[facts["name"]] = {**detail, "frames": viewer.stack(detail["await_stack"])}
                        details[facts["name"]]["window"] = viewer.waits.get(number, (None, None))
                        details[facts["name"]]["state"] = viewer.rows[number]["state"]
            details["now"] = {"time": time.time(), "began": began}
            details["names"] = {facts["name"]: number for number, facts in viewer.facts.items()}
            details["loop"] = {"kind": next(iter(viewer.loops.values()))["kind"]}
            assert viewer.probe["off"] == []
            program.say()
            program.expect("over")
            program.say()
            assert program.end() == 0, program.stderr
    return details


@pytest.mark.parametrize("name", KINDS)
def test_the_kind_of_a_wait(seen: dict[str, dict], name: str) -> None:
    waits = seen[name]["waiting_on"]
    assert waits is not None, f"{name} waits"
    kind = KINDS[name]
    if seen["loop"]["kind"] == "uvloop" and name == "process_reads":
        kind = "socket"  # uvloop talks to its children through pairs of sockets
    if seen["loop"]["kind"] == "uvloop" and waits["kind"] == "future" and name in ("serves", "drains"):
        pytest.xfail(f"uvloop hides what {name} waits on")
    assert waits["kind"] == kind, waits
    assert waits["repr"]
    assert seen[name]["state"] == "waiting"
    assert seen[name]["window"][0] == kind, "the window says the same"


def test_a_sleep_says_when_it_ends(seen: dict[str, dict]) -> None:
    wakes = seen["sleeps"]["waiting_on"]["wakes_at"]
    assert seen["now"]["began"] + 600 <= wakes / 1e6 < seen["now"]["time"] + 600


def test_a_lock_says_who_holds_it(seen: dict[str, dict]) -> None:
    waits = seen["locks"]["waiting_on"]
    assert waits["holder"] == seen["names"]["holds"]
    assert waits["waiters"] == 1


def test_a_queue_says_what_is_done_and_how_full_it_is(seen: dict[str, dict]) -> None:
    gets, puts, joins = (seen[name]["waiting_on"] for name in ("gets", "puts", "joins"))
    assert (gets["op"], gets["size"], gets["maxsize"]) == ("get", 0, 0)
    assert (puts["op"], puts["size"], puts["maxsize"]) == ("put", 1, 1)
    assert joins["op"] == "join"


def test_sockets_executors_and_processes_say_which(seen: dict[str, dict]) -> None:
    assert "127.0.0.1" in seen["reads"]["waiting_on"]["repr"]
    if seen["loop"]["kind"] != "uvloop":
        assert seen["sock_recv"]["waiting_on"]["fd"] > 2
        assert seen["process"]["waiting_on"]["pid"] > 1
    assert seen["executes"]["waiting_on"]["running"] is True


def test_a_task_that_only_asyncio_has_named_is_called_by_its_coroutine(seen: dict[str, dict]) -> None:
    assert seen["task"]["waiting_on"]["repr"] == "forever"
    assert re.fullmatch(r"slow_one\(\) Task-\d+", seen["unnamed"]["waiting_on"]["repr"])


def test_tasks_that_await_tasks(seen: dict[str, dict]) -> None:
    forever = seen["names"]["forever"]
    assert seen["task"]["waiting_on"]["task"] == forever
    assert seen["shields"]["waiting_on"]["task"] == forever
    assert [entry[2] for entry in seen["task"]["frames"]] == ["task", "slow_one", "sleep"]
    assert seen["task"]["await_tasks"] == [[forever, 1]]
    waiters = set(seen["forever"]["awaited_by"])
    assert {seen["names"][name] for name in ("task", "shields", "as_completed")} <= waiters
    assert len(seen["gathers"]["waiting_on"]["tasks"]) == 2
    assert seen["waits"]["waiting_on"]["tasks"] == [seen["names"]["w1"]]
    assert seen["w1"]["awaited_by"] == [seen["names"]["waits"]]
    assert seen["group"]["waiting_on"]["tasks"] == [seen["names"]["in group"]]
    assert seen["in group"]["awaited_by"] == [seen["names"]["group"]]
    assert seen["sleeps"]["awaited_by"] == []


def test_wait_for_leads_to_what_is_waited_for(seen: dict[str, dict]) -> None:
    functions = [entry[2] for entry in seen["waits_for"]["frames"]]
    assert functions[0] == "waits_for" and "slow_one" in functions
    assert seen["waits_for"]["waiting_on"]["kind"] in ("task", "sleep")


def test_stacks_go_through_generators_and_awaitables(seen: dict[str, dict]) -> None:
    assert [entry[2] for entry in seen["iterates"]["frames"]] == ["iterates", "inner_generator", "generator", "sleep"]
    assert [entry[2] for entry in seen["deep"]["frames"]] == ["deep"] * 5 + ["Awaitable.__await__", "slow_one", "sleep"]
    text = source(BODY, UVLOOP if seen["loop"]["kind"] == "uvloop" else "run = asyncio.run\n").splitlines()
    file, line, _ = seen["deep"]["frames"][-2]
    assert file == "program.py" and "asyncio.sleep(600)" in text[line - 1], "the line that awaits"
