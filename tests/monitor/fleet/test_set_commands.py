"""`looptop tasks`, `watch` and `findings` on the workers of real servers, of which some are killed, stopped and replaced."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from servers import AIOHTTP, GRANIAN, GUNICORN, HYPERCORN, UVICORN, Watching, looptop, serving
from waiting import CROWDED, wait_until
from watched import ROOT, Program

from monitor.findings.thresholds import Thresholds
from monitor.fleet.recorded import RecordedFleet
from monitor.fleet.service import Service
from monitor.recording.of_set import open_set


def seen(*words: str) -> dict:
    done = looptop("tasks", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_pid_of_a_parent_means_its_workers(tmp_path: Path) -> None:
    with serving(UVICORN, tmp_path) as server:
        pids = server.workers()
        found = seen(str(server.pid), "--filter", "name:bg-*")
        assert [(one["worker"], one["pid"]) for one in found["processes"]] == list(enumerate(pids))
        assert all(one["problem"] is None and len(one["loops"]) == 1 for one in found["processes"])
        assert sorted((one["worker"], one["pid"], one["name"]) for one in found["tasks"]) == [
            (worker, pid, f"bg-{number}") for worker, pid in enumerate(pids) for number in range(3)
        ]
        # A TARGET among several is a worker itself, and a filter names one of them.
        found = seen(str(pids[1]), str(pids[2]), "--filter", "worker:1 name:bg", "--limit", "2")
        assert [(one["worker"], one["pid"]) for one in found["tasks"]] == [(1, pids[2])] * 2
        done = looptop("tasks", str(server.pid), "--tree", "--sort", "steps")
        assert f"worker 2 ({pids[2]})  5 tasks" in done.stdout, done.stdout + done.stderr
        assert f"2 ({pids[2]})" in done.stdout.split("Process", 1)[1]

        listed = json.loads(looptop("ps", str(server.pid), "--json").stdout)["programs"]
        assert [(one["worker"], one["pid"]) for one in listed] == list(enumerate(pids))
        lines = looptop("ps", str(server.pid)).stdout.splitlines()
        assert [line.split()[:2] for line in lines[:4]][1:] == [[str(n), str(pid)] for n, pid in enumerate(pids)]

        for command in (["groups", "--duration", "0.5"], ["memory", "--duration", "0.3"]):
            done = looptop(command[0], str(server.pid), *command[1:], "--json")
            listed = json.loads(done.stdout)["processes"]
            assert [(one["worker"], one["pid"], one["problem"]) for one in listed] == [
                (worker, pid, None) for worker, pid in enumerate(pids)
            ], done.stderr
            assert all("groups" in one or "diff" in one for one in listed)

        watching = Watching(str(server.pid))
        try:
            wait_until(lambda: len(watching.objects("worker_started")) == 3, "three workers")
            slow = wait_until(lambda: server.get("/block") and watching.objects("slow_callback"), "a slow callback")
            assert slow[0]["pid"] == pids[slow[0]["worker"]]
            assert slow[0]["line"]["file"].endswith("app.py")
            os.kill(pids[0], signal.SIGKILL)
            (end,) = wait_until(lambda: watching.objects("worker_ended"), "the end of one")
            assert (end["worker"], end["pid"], end["reason"]) in [
                (0, pids[0], "killed by SIGKILL"),
                (0, pids[0], None),  # an older kernel, and the parent was faster
            ]
            new = wait_until(lambda: watching.objects("worker_started")[3:], "the one in its place")
            assert new[0]["worker"] == 0
            assert new[0]["pid"] in server.workers()
            wait_until(lambda: {one["worker"] for one in watching.objects("loop")} == {0, 1, 2}, "all loops")
        finally:
            said = watching.close()
        assert "trying again" not in said, "the end of a worker is an event"

        os.kill(pids[1], signal.SIGSTOP)
        done = looptop("tasks", str(server.pid), "--json")  # it does not wait for the one that is stopped
        assert done.returncode == 0, done.stderr
        found = {one["pid"]: one for one in json.loads(done.stdout)["processes"]}
        assert "stopped" in found[pids[1]]["problem"]
        assert found[pids[1]]["session"] is None
        assert found[pids[2]]["session"]["pid"] == pids[2]
        assert "stopped" in done.stderr
        done = looptop("findings", str(server.pid), "--duration", "1", "--json")
        assert done.stdout, done.stderr
        kinds = {one["kind"] for one in json.loads(done.stdout)["findings"]}
        assert kinds <= CROWDED and done.returncode == bool(kinds), done.stdout + done.stderr
        assert looptop("tasks", str(server.pid), str(tmp_path / "no.looptop")).returncode == 2


@pytest.mark.parametrize("command", [GUNICORN, HYPERCORN, GRANIAN, AIOHTTP], ids=lambda command: command[0])
def test_servers_and_their_workers(command: tuple[str, ...], tmp_path: Path) -> None:
    package = "aiohttp" if command is AIOHTTP else command[0]
    pytest.importorskip(package, reason=f"{package} is not installed: pip install '.[dev]'")
    with serving(command, tmp_path, workers=2) as server:
        pids = server.workers()
        found = seen(str(server.pid), "--filter", "name:bg-*")
        assert [(one["worker"], one["pid"]) for one in found["processes"]] == list(enumerate(pids))
        assert len(found["tasks"]) == 6


def test_a_program_with_a_loop_is_no_parent(tmp_path: Path) -> None:
    body = """
    import asyncio, subprocess, sys
    async def main():
        child = "import asyncio; asyncio.run(asyncio.sleep(60))"
        process = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", child)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        process.kill()
        await process.wait()
    asyncio.run(main())
    """
    with Program(body, folder=tmp_path) as program:
        program.expect("ready")
        assert seen(str(program.pid))["session"]["pid"] == program.pid
        program.say()
        assert program.end() == 0


def ask(*words: str | Path) -> dict:
    done = looptop(*map(str, words), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_recording_of_a_set_is_a_set_and_can_be_replayed(tmp_path: Path) -> None:
    with serving(UVICORN, tmp_path, workers=2) as server:
        pids, folder = server.workers(), tmp_path / "night"
        command = [sys.executable, "-m", "monitor", "record", str(server.pid), "-o", str(folder), "--flame", "--steps"]
        recorder = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        try:
            wait_until(lambda: len(list(folder.glob("*.looptop"))) == 2, "two files")
            live = wait_until(lambda: two_answer(server.pid), "two answers")
            assert [one["pid"] for one in live] == pids
            blamed = set()
            while pids[1] not in blamed:  # of the other one, the last moments are lost
                blamed.add(server.get("/block"))
            os.kill(pids[0], signal.SIGKILL)
            wait_until(lambda: len(list(folder.glob("*.looptop"))) == 3, "the one in its place")
            (new,) = set(server.wait_for(2)) - set(pids)

            # What runs is asked at once: stacks of all in one tree, the slowest tasks of all, one trace.
            # The recorder saw that the new one took the place of worker 0.
            def waiting() -> set[str]:
                return {one["process"] for one in ask("flame", server.pid, "--duration", "1", "--wait")["stacks"]}

            def late() -> set[tuple[int, int]]:
                found = ask("why", server.pid, "--duration", "0.5", "--slowest", "20")
                return {(one["worker"], one["pid"]) for one in found["tasks"]}

            # On a crowded machine one of them may do nothing in so short a time.
            wait_until(lambda: waiting() == {f"1 ({pids[1]})", f"0 ({new})"}, "stacks of both")
            wait_until(lambda: late() == {(1, pids[1]), (0, new)}, "tasks of both")
            done = looptop("trace", str(server.pid), "--duration", "0.5", "-o", str(tmp_path / "trace"))
            assert "of 2 processes" in done.stderr
            assert [one["functions"] for one in ask("profile", server.pid)["processes"]] == [[], []]
        finally:
            recorder.send_signal(signal.SIGINT)
            said = recorder.communicate(timeout=60)[1]
    assert recorder.returncode == 0, said
    assert "3 recordings" in said
    every = {(0, pids[0]), (0, new), (1, pids[1])}

    found = ask("tasks", folder, "--filter", "name:bg-*")
    assert {(one["worker"], one["pid"]) for one in found["tasks"]} == {(0, new), (1, pids[1])}
    recorded = open_set(folder)
    both = max(part.start for part in recorded.parts if part.pid in pids) - recorded.start
    found = ask("tasks", folder, "--at", f"{both + 0.1:.3f}", "--filter", "worker:0")
    assert {one["pid"] for one in found["tasks"]} == {pids[0]}
    lines = [json.loads(line) for line in looptop("watch", str(folder), "--json").stdout.splitlines()]
    started = {(one["worker"], one["pid"]) for one in lines if one["type"] == "worker_started"}
    assert started == every
    slow = [
        one
        for one in lines
        if one["type"] == "slow_callback" and one["line"] and one["line"]["file"].endswith("app.py")
    ]
    assert {pids[1]} <= {one["pid"] for one in slow} <= blamed
    assert looptop("findings", str(folder), "--json").returncode in (0, 1)
    assert [one["pid"] for one in ask("groups", folder)["processes"]] == [new, pids[1]]
    assert [one["pid"] for one in ask("threads", folder)["processes"]] == [new, pids[1]]
    assert {(one["worker"], one["pid"]) for one in ask("why", folder, "--slowest", "200")["tasks"]} <= every
    assert {one["process"] for one in ask("flame", folder, "--wait")["stacks"]} <= {f"{w} ({p})" for w, p in every}
    found = ask("compare", folder, folder)
    assert {one["verdict"] for one in found["figures"]} <= {"same", None}
    assert next(one["a"] for one in found["figures"] if one["key"] == "tasks_mean") > 6
    done = looptop("export", str(folder), "--to", "ndjson")
    assert done.returncode == 2 and "recording of a set" in done.stderr

    now = [0.0]
    fleet = RecordedFleet(recorded, clock=lambda: now[0])
    with closing(Service(fleet, Thresholds(), "night")) as service:
        service.step()
        now[0] = both
        service.step()
        assert {row.pid for row in service.rows()} == set(pids)
        now[0] = 1e6
        assert {(one.joined, one.pid) for one in service.step()} >= {(False, pids[0]), (True, new)}
        assert [row.pid for row in service.rows()] == [new, pids[1]]
        assert {of.store.worker for of in service.tasks()} == {0, 1}
        assert fleet.open(0) is not None and fleet.open(7) is None


def two_answer(pid: int) -> list[dict]:
    found = json.loads(looptop("groups", str(pid), "--duration", "0.5", "--json").stdout)["processes"]
    return found if len(found) == 2 and all(one["problem"] is None for one in found) else []
