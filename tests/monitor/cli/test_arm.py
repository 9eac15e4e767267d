"""`looptop arm`, `disarm`, `ps` and `watch --past` on a program that was started without looptop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from waiting import wait_until

from monitor.transport import fd_passing

PROGRAM = """
import asyncio, sys, time

async def stuck():
    time.sleep(0.4)

async def fails():
    raise ValueError("in the night")

async def main():
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        await asyncio.create_task(stuck(), name="stuck")
        await asyncio.gather(asyncio.create_task(fails(), name="failing"), return_exceptions=True)
        print("done", flush=True)

asyncio.run(main())
"""


def looptop(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "monitor", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.skipif(not fd_passing.possible(), reason="this kernel lets us take no descriptors")
def test_an_armed_program_remembers_with_nobody_connected(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    program = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        assert program.stdout is not None and program.stdin is not None
        assert program.stdout.readline() == "ready\n"
        pid = str(program.pid)
        armed = looptop("arm", pid, "--timeout", "30")
        assert armed.returncode == 0, armed.stderr
        assert armed.stdout == f"process {pid} is armed: what happens from now on is remembered\n"

        def listed() -> dict[str, object]:
            programs = json.loads(looptop("ps", "--json").stdout)["programs"]
            return next(one for one in programs if one["pid"] == program.pid)

        assert listed()["armed"] is True and listed()["how"] == "probe"
        program.stdin.write("go\n")
        program.stdin.flush()
        assert program.stdout.readline() == "done\n"
        before = time.time()

        def past() -> list[dict[str, object]]:
            seen = looptop("watch", pid, "--past", "--json", "--duration", "1.5")
            assert seen.returncode == 0, seen.stderr
            return [json.loads(line) for line in seen.stdout.splitlines()]

        def remembered() -> list[dict[str, object]]:
            """What blocked, and what failed; on a crowded machine other callbacks are slow, too."""
            things = [thing for thing in past() if thing.get("past")]
            slow = [thing for thing in things if thing["type"] == "slow_callback" and thing["name"] == "stuck"]
            return [*slow[:1], *(thing for thing in things if thing.get("outcome") == "failed")]

        slow, failed = wait_until(lambda: found if len(found := remembered()) == 2 else None, "what is remembered")
        assert slow["at_least"] is False and float(str(slow["duration"])) >= 0.35
        assert failed["name"] == "failing" and all(float(str(thing["time"])) < before for thing in (slow, failed))
        quiet = looptop("watch", pid, "--json", "--duration", "1.5", "--only", "slow", "--only", "failed")
        assert quiet.stdout == ""

        out = looptop("disarm", pid)
        assert out.stdout == f"the probe of process {pid} is out\n", out.stderr
        wait_until(lambda: fd_passing.find(program.pid) is None, "the probe to be out")
        assert looptop("disarm", pid).returncode == 3
        # Its own thread and the executor's; the one that frees the probe's modules ends within seconds.
        wait_until(lambda: len(os.listdir(f"/proc/{pid}/task")) <= 2, "the end of the teardown thread")
    finally:
        program.kill()
        program.wait(60)
        for pipe in (program.stdin, program.stdout):
            if pipe is not None:
                pipe.close()
