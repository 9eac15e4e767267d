"""The black box outlives its program, however that ends, and every command reads it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import wait_until

from monitor.recording.reader import store_at

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
    wait_until(lambda: store_at(box).past.of(1, 1.0), "a row of the history")
    wait_until(lambda: store_at(box).sync_scan.locks, "what tasks wait for")
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
    assert {(rows["loop"], rows["step"]) for rows in last["history"]} >= {(None, 1.0), (1, 1.0)}
    (loop,) = (rows for rows in last["history"] if (rows["loop"], rows["step"]) == (1, 1.0))
    assert max(loop["columns"]["lag"]) > 0.04 and any(loop["columns"]["utilization"])
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


@pytest.mark.parametrize(
    ("how", "status"),
    [("_exit", 3), ("abort", -signal.SIGABRT), ("fault", -signal.SIGSEGV), ("raise", 1)],
)
def test_a_bad_end_leaves_the_box(folder, how, status):
    program = start(folder, how)
    program.communicate(timeout=60)
    assert program.returncode == status
    last = json.loads(looptop(folder, "postmortem", str(program.pid), "--json"))
    assert "job-3" in {task["name"] for task in last["tasks"]}
    expected = "unhandled RuntimeError: the end" if how == "raise" else "killed"
    assert last["ended"]["how"].startswith(expected)
    if how == "_exit":
        assert str(program.pid) in looptop(folder, "ps")


def test_what_blocks_is_in_the_box_of_a_program_killed_for_it(folder):
    program = start(folder, "block")
    program.stdout.readline()
    assert program.stdout.readline() == "blocking\n"
    (box,) = boxes(folder)
    blocked = wait_until(lambda: blocked_line(folder, box), "the blocking line")
    program.kill()
    program.communicate(timeout=30)
    assert blocked == blocked_line(folder, box)


def blocked_line(folder, box):
    for loop in store_at(box).loops.values():
        if loop.block is not None and loop.block.stack:
            return loop.block.stack[-1].line
    return None


def test_a_program_that_execs_or_closes_everything_is_unharmed(folder):
    replaced, closing = start(folder, "exec"), start(folder, "closes")
    (left,) = wait_until(lambda: json.loads(looptop(folder, "postmortem", "--json"))["boxes"], "the box", 30)
    assert left["pid"] == replaced.pid
    replaced.kill()
    replaced.communicate(timeout=30)
    out, err = closing.communicate(timeout=30)
    assert out == "ready\nstill here\n"
    assert closing.returncode == 0 and err.count("looptop:") <= 1


@pytest.mark.parametrize("setting", ["off", "/nonexistent/folder", "/proc"])
def test_without_a_place_there_is_one_line_at_most(folder, setting):
    program = start(folder, "end", LOOPTOP_BOX=setting)
    out, err = program.communicate(timeout=60)
    assert (program.returncode, out) == (0, "ready\n")
    assert err.count("looptop:") == (setting != "off")
    assert boxes(folder) == []


def test_a_full_file_ends_the_box_only(folder):
    limited = (
        "import resource, os, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)); "
        f"os.execv(sys.executable, [sys.executable, '-m', 'probes', {str(BOXED)!r}, 'end'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited],
        env={**os.environ, "LOOPTOP": "1", "LOOPTOP_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "ready\n")
    assert done.stderr.count("looptop:") == 1
    assert boxes(folder) == []


def test_hostile_boxes_are_refused_with_one_line(folder, tmp_path):
    program = start(folder)
    program.stdout.readline()
    (box,) = grown(folder, 9000)
    program.kill()
    program.communicate(timeout=30)
    whole = box.read_bytes()
    heading = whole.index(b"\n", 14) + 1
    for number, data in enumerate(
        [
            whole[:4000],
            b"looptop-box 1\n" + b"{" * 3000,
            whole[:14] + b'{"session": "x", "segments": 1000000000, "segment": 1}\n',
            whole[:4096] + b"\xff" * 5000,
            whole[:heading] + bytes(4096),
        ]
    ):
        bad = tmp_path / f"bad-{number}"
        bad.write_bytes(data)
        done = subprocess.run(
            [sys.executable, "-m", "monitor", "postmortem", str(bad), "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
        assert done.stderr.count("\n") <= 2
    (tmp_path / "torn").write_bytes(whole[:-20])
    assert "job-3" in looptop(folder, "tasks", str(tmp_path / "torn"))
