"""What a look shows first of a program that it has just entered: what goes on, not what went on before it came."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from inject_targets import ROOT, Running

WORKED_BEFORE = """
import time, uvloop
until = time.process_time() + 1.0
while time.process_time() < until: pass
async def main():
    asyncio.get_running_loop().call_soon(ready)
    while True: await asyncio.sleep(0.05)
uvloop.new_event_loop().run_until_complete(main())
"""


def test_what_a_uvloop_worked_before_is_not_its_load(tmp_path: Path, runtime_dir: Path) -> None:
    """Its thread is known only when the loop first answers: gunicorn's worker starts it so."""
    pytest.importorskip("uvloop")
    with Running(sys.executable, WORKED_BEFORE, tmp_path) as target:
        command = [sys.executable, "-m", "monitor", "tasks", str(target.pid), "--json"]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert told.returncode == 0, told.stderr
        (loop,) = json.loads(told.stdout)["loops"]
        assert loop["utilization"] < 0.5


CHILD = """
import asyncio, multiprocessing, os
async def work():
    print(os.getpid(), flush=True)
    await asyncio.sleep(600)
def child(): asyncio.run(work())
if __name__ == "__main__":
    started = multiprocessing.get_context("spawn").Process(target=child, daemon=True)
    started.start()
    input()
"""


def test_a_child_of_multiprocessing_is_called_by_its_program(tmp_path: Path, runtime_dir: Path) -> None:
    """It was started with `-c`, as the workers of uvicorn are."""
    script = tmp_path / "server.py"
    script.write_text(CHILD)
    with subprocess.Popen(
        [sys.executable, str(script), "--port", "80"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        command = [sys.executable, "-m", "monitor", "tasks", program.stdout.readline().strip(), "--json"]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        program.communicate("\n", timeout=60)
    session = json.loads(told.stdout)["session"]
    assert (session["name"], session["program"]) == ("server", f"{script} --port 80")
