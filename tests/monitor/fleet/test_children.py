"""`looptop run --children`: the processes of a program that it starts with multiprocessing, and its name for all of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from servers import looptop
from waiting import wait_until
from watched import ROOT

from monitor.attach.worker_processes import WorkerProcesses, children, has_loop
from monitor.fleet.members import Members
from monitor.transport import fd_passing

PROGRAM = """
import asyncio, multiprocessing, os, subprocess, sys

def trace(who):
    probe = hasattr(sys, "_looptop_probe")
    text = f"{who} {probe} {'LOOPTOP_BOOT' in os.environ} {os.environ.get('PYTHONPATH')}\\n"
    os.write(1, text.encode())  # at once: there are two of them

async def work():
    trace("worker")
    await asyncio.sleep(600)

def worker():
    asyncio.run(work())

if __name__ == "__main__":
    code = "import os, sys; print('tool', hasattr(sys, '_looptop_probe'), 'LOOPTOP_BOOT' in os.environ, "
    subprocess.run([sys.executable, "-c", code + "os.environ.get('PYTHONPATH'), flush=True)"])
    multiprocessing.set_forkserver_preload(["asyncio"])
    ways = [multiprocessing.get_context(way) for way in ("spawn", "forkserver")]
    runs = [way.Process(target=worker, daemon=True) for way in ways]
    for one in runs:
        one.start()
    sys.stdin.readline()
    for one in runs:
        one.terminate()
        one.join()
"""


def test_children_have_a_probe_and_their_name_means_them(tmp_path: Path) -> None:
    script = tmp_path / "shop.py"
    script.write_text(PROGRAM)
    command = [sys.executable, "-m", "monitor", "run", "--headless", "--children", str(script)]
    program = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdin is not None and program.stdout is not None
        before = program.stdout.readline().split()
        assert before[:3] == ["tool", "False", "False"]  # and nothing of it is left for what that starts
        assert [program.stdout.readline().split() for _ in range(2)] == [["worker", "True", "False", before[3]]] * 2

        def listed() -> list[dict]:
            return json.loads(looptop("ps", "@shop", "--json").stdout)["programs"]

        workers = wait_until(lambda: found if len(found := listed()) == 2 else None, "two workers")
        assert program.pid in {one["parent"] for one in workers}  # that of the other one is the fork server
        assert all(one["how"] == "probe" for one in workers)

        # With one worker the name is that of two processes, and of their parent alone without probes in the workers.
        pids = [one["pid"] for one in workers]
        for pid in pids:
            assert looptop("detach", str(pid)).returncode == 0
            assert Members(["@shop"]).is_set
        assert [(one["pid"], one["how"]) for one in listed()] == [(pid, "attach") for pid in pids]
        if fd_passing.possible():
            done = looptop("arm", "@shop", "--timeout", "30")
            *armed, count = done.stdout.splitlines()
            assert (done.returncode, count) == (0, "2 of 2 workers have a probe that stays"), done.stderr
            assert [line.split()[:2] for line in armed] == [["process", str(pid)] for pid in pids]
            done = looptop("detach", str(program.pid))
            out = [f"the probe of process {pid} is out" for pid in (*pids, program.pid)]
            assert (done.returncode, done.stdout.splitlines()) == (0, out), done.stderr
            assert looptop("detach", str(program.pid)).returncode == 3
    finally:
        program.communicate("\n", timeout=60)
    assert program.returncode == 0


SHELL = """
{python} work.py --port 8001 &
{python} work.py --port 8002 &
read line
{python} other.py &
wait
"""


def test_different_programs_below_one_process_are_no_workers(tmp_path: Path) -> None:
    for name in ("work.py", "other.py"):
        (tmp_path / name).write_text("import asyncio\nasyncio.run(asyncio.sleep(600))")
    text = SHELL.format(python=sys.executable)
    shell = subprocess.Popen(["/bin/sh", "-c", text], cwd=tmp_path, stdin=subprocess.PIPE)
    watched = WorkerProcesses()
    try:
        assert shell.stdin is not None

        def found(finder: WorkerProcesses, number: int) -> list[int] | None:
            there = children(shell.pid)
            return finder.of(shell.pid) if len(there) == number and all(map(has_loop, there)) else None

        workers = wait_until(lambda: found(watched, 2), "two programs, of which the port differs")
        assert len(workers) == 2
        shell.stdin.write(b"\n")
        shell.stdin.close()
        wait_until(lambda: found(WorkerProcesses(), 3) == [], "another program")
        assert watched.of(shell.pid) == workers  # those that are known to be workers stay
        done = looptop("tasks", str(shell.pid))
        assert done.returncode == 3
        assert "has no workers: the 3 processes with loops below it run different programs" in done.stderr
    finally:
        for pid in children(shell.pid):
            os.kill(pid, signal.SIGKILL)
        shell.kill()
        shell.wait(60)
