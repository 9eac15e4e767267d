"""Findings of real programs, as commands print them: live, from a recording, and with a bad configuration."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from waiting import CROWDED, wait_until
from watched import ROOT, Program

from monitor.recording.metadata import about

DEADLOCK = """
import asyncio

async def take(first, second):
    async with first:
        await asyncio.sleep(0.1)
        async with second:  # never
            pass

async def main():
    print("ready", flush=True)
    one, two = asyncio.Lock(), asyncio.Lock()
    async with asyncio.TaskGroup() as group:
        group.create_task(take(one, two), name="ann")
        group.create_task(take(two, one), name="bob")

asyncio.run(main())
"""


def looptop(*words, folder, status=0):
    done = subprocess.run(
        [sys.executable, "-m", "monitor", *words],
        capture_output=True, text=True, timeout=90, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done


@contextmanager
def watching(target, folder):
    """`looptop watch`, running: the findings so far, by kind."""
    with open(folder / "findings", "w+") as file:
        watch = subprocess.Popen(
            [sys.executable, "-m", "monitor", "watch", target, "--only", "finding", "--json"],
            stdout=file, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        try:
            yield lambda: {
                thing["kind"]: thing
                for line in (folder / "findings").read_text().splitlines(keepends=True)
                if line.endswith("\n") and (thing := json.loads(line))["type"] == "finding"
            }
        finally:
            watch.send_signal(signal.SIGINT)
            watch.wait(60)


def test_a_deadlock_live_and_from_its_recording(tmp_path: Path):
    with Program(DEADLOCK, folder=tmp_path) as program:
        program.expect("ready")
        target = f"unix:{program.socket_path}"
        recorder = subprocess.Popen(
            [sys.executable, "-m", "monitor", "record", target, "-o", "it.looptop", "--rate", "20"],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with watching(target, tmp_path) as found:
            wait_until(lambda: "deadlock" in found(), "the deadlock")
            wait_until(lambda: (known := about(tmp_path / "it.looptop")) and (known.duration or 0) > 4, "a recording")
            seen = found()
        assert (seen["deadlock"]["fix"], seen["deadlock"]["evidence"]) == ("deadlock_ordered", {"tasks": 2, "locks": 2})
        # After five seconds both of them can never wake, too.
        assert set(seen) <= {"deadlock", "never_wakes", *CROWDED}
        assert [(line["name"], line["line"]) for line in seen["deadlock"]["lines"]] == [("ann", 7), ("bob", 7)]
        recorder.send_signal(signal.SIGINT)
        recorder.wait(60)
    told = looptop("findings", "it.looptop", folder=tmp_path, status=1).stdout
    assert "✗ deadlock" in told
    assert re.search(r"#\d+ ann  waits for a lock that #\d+ bob holds", told)
    assert "looptop samples show deadlock_ordered" in told


GREEDY = """
import asyncio, time

async def hoards(kept):
    while True:
        end = time.perf_counter() + 0.05
        while time.perf_counter() < end:
            pass
        kept.append(bytearray(200_000))  # all of it is touched, so it is resident
        await asyncio.sleep(0.01)

async def main():
    print("ready", flush=True)
    await asyncio.create_task(hoards([]), name="hoarder")

asyncio.run(main())
"""


def test_a_busy_task_and_growing_memory(tmp_path: Path):
    (tmp_path / "looptop.toml").write_text(
        "[findings.task_busy]\nafter = 1\n[findings.memory_growing]\nwindow = 3\nleast = 2\n"  # the default takes 15 s
    )
    with Program(GREEDY, folder=tmp_path) as program:
        program.expect("ready")
        with watching(f"unix:{program.socket_path}", tmp_path) as seen:
            wanted = {"task_busy", "memory_growing"}
            found = wait_until(lambda: (now := seen()).keys() >= wanted and now, "both findings")
    assert set(found) - CROWDED == wanted
    assert (found["task_busy"]["name"], found["task_busy"]["site"]["line"]) == ("hoarder", 14)
    assert 0.5 <= found["task_busy"]["evidence"]["share"] <= 1
    assert found["memory_growing"]["evidence"]["more"] > 2 << 20


def test_a_calm_program_and_a_bad_file(tmp_path: Path):
    with Program(
        "import asyncio; print('ready', flush=True); asyncio.run(asyncio.sleep(60))", folder=tmp_path
    ) as program:
        program.expect("ready")
        target = f"unix:{program.socket_path}"
        done = subprocess.run(
            [sys.executable, "-m", "monitor", "findings", target, "--duration", "1", "--json"],
            capture_output=True, text=True, timeout=90, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        kinds = {one["kind"] for one in json.loads(done.stdout)["findings"]}
        assert kinds <= CROWDED and done.returncode == bool(kinds), done.stdout
        (tmp_path / "looptop.toml").write_text("[findings.deadlok]\n")
        refused = looptop("findings", target, folder=tmp_path, status=2)
        assert refused.stdout == ""
        assert refused.stderr.strip().endswith("findings.deadlok: no such kind: did you mean deadlock?")
        assert len(refused.stderr.strip().splitlines()) == 1
