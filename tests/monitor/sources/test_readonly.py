"""Programs that are read from outside, by the Python that they run: whole processes of 3.14 and 3.15."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from interpreters import find_python
from waiting import wait_until

from monitor import cli
from monitor.attach.programs import inspect
from monitor.attach.readonly import open_readonly
from monitor.errors import ConnectError
from monitor.protocol import frames
from monitor.store.store import Store

PROGRAM = """
import asyncio, sys

async def leaf():
    await asyncio.sleep(1000)

async def work():
    await leaf()

async def brief(n):
    await asyncio.sleep(0.01 * (n % 7))

async def churn():
    while True:
        await asyncio.gather(*(brief(n) for n in range(200)))

async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(work(), name="one")
        group.create_task(work(), name="[/two]")
        if "busy" in sys.argv:
            group.create_task(churn(), name="churn")
        print("ready", flush=True)

asyncio.run(main())
"""


@pytest.fixture(params=["3.14", "3.15"])
def target(request, tmp_path, monkeypatch, runtime_dir):
    """Starts the program under one of the Pythons that can be read."""
    python = find_python(request.param)
    if python is None:
        pytest.skip(f"there is no Python {request.param} on this machine: tests/pythons.sh gets one")
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(python).parent), os.environ["PATH"]]))
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    started = []

    def start(*arguments, **environ):
        process = subprocess.Popen(
            [python, str(script), *arguments], stdout=subprocess.PIPE, env={**os.environ, **environ}
        )
        started.append(process)
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def run(capsys, monkeypatch):
    """A command: its status, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "160")

    def command(*words):
        status = cli.main(words)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return command


def test_tasks_from_outside(target, run):
    process = target()
    before = psutil.Process(process.pid)
    facts = (before.num_fds(), before.num_threads(), sorted(os.listdir(f"/proc/{process.pid}/task")))
    status, out, err = run("tasks", str(process.pid), "--read-only", "--json")
    assert (status, err) == (0, "")
    inspect = json.loads(out)
    assert inspect["session"]["capabilities"] == ["read-only"]
    assert inspect["session"]["hooks"] == "read-only: as asked"
    tasks = {task["name"]: task for task in inspect["tasks"]}
    main, one = tasks["Task-1"], tasks["one"]
    assert set(tasks) == {"Task-1", "one", "[/two]"}
    assert main["waiting_on"]["tasks"] == [one["id"], tasks["[/two]"]["id"]]
    assert (one["awaited_by"], one["coro"], one["waiting_on"]["kind"]) == ([main["id"]], "work", "sleep")
    assert [site["function"] for site in one["await_stack"]] == ["work", "leaf", "sleep"]
    unknown = ("age", "busy", "scheduled", "idle", "steps", "max_step", "parent", "creation_site", "origin")
    assert {one[key] for key in unknown} == {None}
    assert inspect["process"]["rss"] > 0
    assert facts == (before.num_fds(), before.num_threads(), sorted(os.listdir(f"/proc/{process.pid}/task")))
    status, out, _ = run("tasks", str(process.pid), "--read-only", "--tree")
    assert "read-only: as asked; times and counts are not known" in out
    assert any(line.startswith(" 2    one ") for line in out.splitlines())


def test_where_nothing_may_be_put_in_it_is_read_from_outside(target, run):
    process = target(PYTHON_DISABLE_REMOTE_DEBUG="1")
    status, out, err = run("tasks", str(process.pid))
    assert (status, err) == (0, "")
    assert "with remote debugging disabled (PYTHON_DISABLE_REMOTE_DEBUG); times and counts are not known" in out
    assert "[/two]" in out
    status, out, _ = run("attach", str(process.pid), "--dry-run")
    assert status == 0
    assert out.startswith("would be watched read-only, from outside: ")
    assert run("attach", str(process.pid), "--dry-run", "--read-only")[1] == (
        "would be watched read-only, from outside: as asked\n"
    )


def test_a_stopped_program_can_be_read(target, run):
    process = target()
    os.kill(process.pid, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED, "it stops")
    status, out, _ = run("tasks", str(process.pid), "--json")
    assert status == 0
    assert json.loads(out)["session"]["hooks"] == f"read-only: PID {process.pid} is stopped"


def test_a_busy_program_is_read_again_and_again(target):
    process = target("busy")
    connection = open_readonly(process.pid)
    store = Store()
    store.apply(connection.hello)
    try:
        connection.send({"type": "watch", "rate": 20})
        deadline = time.monotonic() + 60
        ticks = 0
        while ticks < 8 or store.ended_total < 100:
            assert time.monotonic() < deadline
            for frame in connection.receive(5.0):
                store.apply(frame)
                ticks += isinstance(frame, frames.Tick)
        names = [task.name for task in store.tasks.values()]
        assert {"one", "[/two]", "churn"} <= set(names)
        assert len(names) < 1000
        assert {end.outcome for end in store.ended} == {"ended"}
        process.kill()
        with pytest.raises(ConnectError):
            while True:
                connection.receive(5.0)
    finally:
        connection.close()


def test_the_reader_is_not_listed_and_ends_with_its_viewer(target):
    process = target()
    connection = open_readonly(process.pid)
    reader = connection._reader.process.pid
    assert inspect(reader) is None
    connection.close()
    assert not psutil.pid_exists(reader)


def test_watch_from_outside_says_what_it_can_not_tell(target, run):
    process = target("busy")

    def things():
        status, out, err = run("watch", str(process.pid), "--read-only", "--duration", "1", "--json")
        assert status == 0
        assert "read-only: as asked: only ends of tasks are visible" in err
        return [json.loads(line) for line in out.splitlines()]

    things = wait_until(things, "ends of tasks")
    assert {thing["type"] for thing in things} == {"task_ended"}
    assert {thing["outcome"] for thing in things} == {None}


def test_findings_do_not_say_that_all_is_well(target, run):
    process = target(PYTHON_DISABLE_REMOTE_DEBUG="1")
    status, out, err = run("findings", str(process.pid), "--duration", "0.5")
    assert (status, out) == (3, "")
    assert "findings need a probe in it" in err


def test_what_can_not_be_read(run, runtime_dir):
    if sys.version_info >= (3, 14):
        pytest.skip("this Python can be read")
    child = subprocess.Popen(
        [sys.executable, "-S", "-c", "import asyncio; print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        child.stdout.readline()
        status, out, err = run("tasks", str(child.pid), "--read-only")
        assert (status, out) == (3, "")
        assert "cannot be read from outside (3.14 can)" in err
        status, _, err = run("tasks", "unix:/x", "--read-only")
        assert status == 2
        assert "--read-only is for a process: give its pid, or @NAME" in err
    finally:
        child.communicate(b"\n")
    status, _, err = run("tasks", str(child.pid), "--read-only")
    assert (status, err) == (3, f"looptop: no process has the pid {child.pid}: looptop ps lists what runs here\n")
