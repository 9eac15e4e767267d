"""A server whose workers have the loops: the parent is watched, and the command says where to look."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from waiting import wait_until
from watched import ROOT, Program

from monitor.attach.programs import workers

BODY = """
import subprocess, sys
child = "import asyncio; asyncio.run(asyncio.sleep(60))"
children = [subprocess.Popen([sys.executable, "-S", "-c", child]) for _ in range(2)]
print("ready", flush=True)
sys.stdin.readline()
for child in children:
    child.kill()
    child.wait()
"""


def looptop(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monitor", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)


def test_tasks_of_a_parent_names_its_workers_and_fails(tmp_path: Path) -> None:
    with Program(BODY, folder=tmp_path) as program:
        program.expect("ready")
        wait_until(lambda: len(workers(program.pid)) == 2, "two children that have loaded asyncio")
        pids = [one.pid for one in workers(program.pid)]
        done = looptop("tasks", str(program.pid))
        assert (done.returncode, done.stdout) == (3, "")
        assert f"process {program.pid} has no event loop; 2 child processes have loops" in done.stderr
        assert all(str(pid) in done.stderr for pid in pids)
        listed = {one["pid"]: one for one in json.loads(looptop("ps", "--json").stdout)["programs"]}
        assert all(listed[pid]["rss"] > 1 << 20 and 0 <= listed[pid]["cpu"] < 64 for pid in pids)
        program.say()
