"""The black box outlives its program, however that ends, and every command reads it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until

BOXED = Path(__file__).parent / "boxed.py"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run").mkdir(mode=0o700)
    return tmp_path / "run"


def start(folder, how="run", **environ):
    environ = {**os.environ, "LOOPTOP": "1", "LOOPTOP_DIR": str(folder), **environ}
    return subprocess.Popen(
        [sys.executable, "-m", "probes", str(BOXED), how],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def looptop(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "monitor", *arguments],
        env={**os.environ, "LOOPTOP_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def boxes(folder):
    return sorted(folder.glob("*.box"))


def grown(folder, least):
    """Waits until the box of the only program holds so many bytes."""
    return wait_until(lambda: [box for box in boxes(folder) if box.stat().st_size > least], f"a box of {least} bytes")


def test_a_killed_program_is_found_and_read(folder):
    program = start(folder)
    assert program.stdout.readline() == "ready\n"
    (box,) = grown(folder, 8000)
    assert box.stat().st_mode & 0o777 == 0o600
    assert json.loads(looptop(folder, "postmortem", "--json")) == {"boxes": []}  # it lives
    program.send_signal(signal.SIGKILL)
    program.communicate(timeout=30)
    (listed,) = json.loads(looptop(folder, "postmortem", "--json"))["boxes"]
    assert (listed["pid"], listed["name"], listed["file"]) == (program.pid, "boxed", str(box))
    last = json.loads(looptop(folder, "postmortem", "@boxed", "--json"))
    tasks = {task["name"]: task for task in last["tasks"]}
    assert set(tasks) > {"waits", *(f"job-{number}" for number in range(10))}
    assert tasks["waits"]["waiting_on"]["kind"] == "lock"
    assert tasks["job-3"]["steps"] > 0 and not tasks["job-3"]["born_before_attach"]
    assert last["slow_callbacks"][0]["line"]["function"] == "main"
    assert last["failures"][0]["exception"]["message"] == "as planned"
    assert last["ended"]["how"].startswith("killed")
    assert "job-3" in looptop(folder, "replay", str(box))
    assert "as planned" in looptop(folder, "watch", str(box))
    assert "job-3" in looptop(folder, "tasks", str(box))
    assert str(program.pid) in looptop(folder, "postmortem")


def test_a_clean_end_removes_the_box(folder):
    program = start(folder, "end")
    program.stdout.readline()
    grown(folder, 4096)
    assert program.wait(30) == 0
    assert boxes(folder) == []
