"""The other ways in: `sys.remote_exec` where looptop runs under the same new Python, gdb where there is one that works."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from inject_targets import PATIENCE, ROOT, Running, interpreters, reach
from test_matrix import difference, interpreter, settled
from waiting import wait_until
from watched import Viewer

from monitor.attach.inject import Result, gdb, inject, payload
from monitor.attach.injector import Injector
from monitor.errors import ConnectError


def attached(python: str, pid: int, *options: str) -> dict[str, Any]:
    """What attaching under another Python says."""
    command = [python, "-B", "-m", "monitor.attach.inject", str(pid), "--timeout", "10", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told


def result_of(told: dict[str, Any]) -> Result:
    assert told.pop("ok"), told
    return Result(**told)


@pytest.mark.parametrize(
    ("version", "state"),
    [("3.14", "idle"), ("3.14", "cpu"), ("3.14", "sleeping"), ("3.15", "ticking"), ("3.15", "second_thread")],
)
def test_remote_exec(version: str, state: str, tmp_path: Path, runtime_dir: Path) -> None:
    python = interpreter(version)
    with Running(python, state, tmp_path) as target:
        before, threads, files = target.state(), target.threads(), target.files()
        result = result_of(attached(python, target.pid))
        # A main thread that sleeps in C does not get back to the interpreter even after a nudge: then ptrace is used.
        if state == "cpu":  # on a busy machine it may not look up in time either
            assert result.method in ("remote_exec", "ptrace")
        else:
            assert result.method == ("ptrace" if state in ("sleeping", "second_thread") else "remote_exec")
        with Viewer(reach(result)) as viewer:
            viewer.watch(rate=20)
            viewer.until(lambda: "worker-4" in viewer.names(), "the tasks")
            assert viewer.ask("detach")[-1]["ok"]
            viewer.until_end()
        settled(target, threads, files)
        if state not in ("cpu", "sleeping"):  # where a beat of the watchdog waits in the blocked loop
            wait_until(lambda: difference(before, target.state()) == {}, "all to be as it was")
        assert target.alive
        assert target.stderr == ""


def test_remote_exec_needs_the_same_python(tmp_path: Path) -> None:
    with Running(interpreter("3.15"), "idle", tmp_path) as target:
        told = attached(interpreter("3.14"), target.pid, "--method", "remote_exec")
        assert (told["ok"], "needs looptop under Python 3.15, too" in told["message"]) == (False, True)
        plan = Injector("auto").plan(target.pid)
        assert "would be entered by ptrace: its main thread waits in epoll_wait" in plan
        assert "not by remote_exec: sys.remote_exec needs looptop under Python 3.15" in plan
        assert target.state()["sys"]


def fake_gdb(folder: Path, says: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "gdb").write_text(f"#!/bin/sh\necho '{says}'\n")
    (folder / "gdb").chmod(stat.S_IRWXU)


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ("GNU gdb (Debian 13.1-3) 13.1", "gdb 13 cannot write the registers of new CPUs; gdb 14+ is needed"),
        ("GNU gdb (GDB) 14.2", ""),
        ("GNU gdb (Debian 18.1-3) 18.1", ""),
        ("nonsense", "gdb ? cannot write"),
    ],
)
def test_which_gdb_will_do(says: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gdb(tmp_path / "bin", says)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    found = gdb.why_not()
    assert found == why if not why else found.startswith(why)


def test_no_gdb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gdb.why_not() == "gdb is not installed"


@pytest.mark.parametrize("state", ["idle", "malloc"])
def test_gdb(state: str, tmp_path: Path, runtime_dir: Path) -> None:
    why = gdb.why_not()
    if why:
        pytest.skip(f"this way cannot be tried here: {why}")
    assert shutil.which("gdb")
    with Running(interpreters()["own"], state, tmp_path) as target:
        result = inject(target.pid, payload.make({"leave": True}, PATIENCE), method="gdb", timeout=PATIENCE)
        assert result.method == "gdb"
        with Viewer(reach(result)) as viewer:
            viewer.watch(rate=20)
            viewer.until(lambda: "worker-4" in viewer.names(), "the tasks")
        assert target.alive


def test_a_way_that_is_closed_is_told_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gdb(tmp_path / "bin", "GNU gdb (Debian 13.1-3) 13.1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    with Running(interpreters()["own"], "idle", tmp_path) as target:
        with pytest.raises(ConnectError, match=r"gdb 13 cannot write the registers .* gdb 14\+ is needed") as caught:
            Injector("gdb").inject(target.pid)
        assert caught.value.status == 3
        assert target.state()["sys"]
