"""Injection on the other side of `--via`: through older Pythons, into containers, into programs of other users."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from inject_targets import Running, interpreters
from test_matrix import difference, settled
from test_namespaces import AS_NOBODY, CONTAINER, SYSTEM, fact, needs_root, open_to_nobody
from waiting import wait_until

from monitor.attach.inject import native
from monitor.cli import main
from monitor.remote import links


@pytest.fixture(autouse=True)
def no_links() -> Iterator[None]:
    yield
    links.close_all()


@pytest.fixture(params=["own", "3.8"])
def via(request: pytest.FixtureRequest) -> str:
    if request.param == "own":
        return sys.executable
    found = sorted(Path.home().glob(f".pyenv/versions/{request.param}.*/bin/python{request.param}"))
    command = str(found[-1]) if found else shutil.which(f"python{request.param}")
    if command is None:
        pytest.skip(f"no Python {request.param} on this machine, the oldest that a relay runs under")
    return command


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Any:
    def command(*args: object) -> tuple[int, str, str]:
        status = main([str(arg) for arg in args])
        out, err = capfd.readouterr()
        return status, out, err

    return command


def hooks() -> str:
    """Which hooks a program gets that can load those in C."""
    return "pure Python (not built)" if "why" in native.file() else "C"


def test_in_and_out_through_a_relay(run: Any, via: str, tmp_path: Path) -> None:
    with Running(interpreters()["own"], "idle", tmp_path) as running:
        before, threads, files = running.state(), running.threads(), running.files()
        for _ in range(2):
            status, out, err = run("tasks", running.pid, "--via", via, "--json")
            assert (status, err) == (0, "")
            assert "worker-4" in [task["name"] for task in json.loads(out)["tasks"]]
            session = json.loads(out)["session"]
            assert (session["pid"], session["hooks"]) == (running.pid, hooks())
            settled(running, threads, files)
        copies = [line for line in running.maps() if " r-xp " in line and "/memfd:looptop-hooks-" in line]
        assert len(copies) == (hooks() == "C"), "mapped once, however often a probe comes"
        wait_until(lambda: difference(before, running.state()) == {}, "nothing of the probe to be left")
        assert running.stderr == ""
        assert run("attach", running.pid, "--dry-run", "--via", via) == run("attach", running.pid, "--dry-run")
        relay = psutil.Process(links.link_to(via).hello.pid)
        wait_until(lambda: relay.children() == [], "the end of what answered")
        running.process.send_signal(signal.SIGSTOP)
        status, out, err = run("tasks", running.pid, "--via", via)
        running.process.send_signal(signal.SIGCONT)
        assert (status, out) == (3, "")
        assert "is stopped" in err
        assert err.count("\n") == 1


def test_from_inside_a_container(run: Any, tmp_path: Path) -> None:
    if subprocess.run([*CONTAINER, "/bin/true"], capture_output=True, timeout=60).returncode or not shutil.which(
        "nsenter"
    ):
        pytest.skip("no right to make namespaces here (unshare --pid --mount --net), so no container to go into")
    command = (*CONTAINER, "sh", "-c", 'mount -t tmpfs none /mnt && exec "$@"', "sh")
    with Running(interpreters()["own"], "idle", tmp_path, before=command) as running:
        inside = fact(running.pid, "NSpid")[-1]
        via = f"nsenter -t {running.pid} -p -m -n {sys.executable}"
        status, out, err = run("ps", "--json", "--via", via)
        assert (status, err) == (0, "")
        assert [str(one["pid"]) for one in json.loads(out)["programs"] if one["asyncio"]] == [inside]
        status, out, err = run("tasks", inside, "--via", via)
        assert (status, err) == (0, "")
        assert "worker-4" in out
        assert f"  pid {inside}  " in out
        status, out, err = run("tasks", inside, "--via", via, "--json")
        assert json.loads(out)["session"]["hooks"] == hooks(), "in a mount namespace of its own, too"
        assert [path.name for path in Path(f"/proc/{running.pid}/root/mnt").rglob("*")] == []


@needs_root
def test_into_a_program_of_another_user_by_a_python_that_cannot_compile_for_it(run: Any, tmp_path: Path) -> None:
    found = sorted(Path.home().glob(".pyenv/versions/3.8.*/bin/python3.8"))
    if not found or os.geteuid() != 0:
        pytest.skip("no Python 3.8 on this machine, which cannot compile what is sent")
    open_to_nobody(tmp_path)
    with Running(SYSTEM, "idle", tmp_path, before=AS_NOBODY) as running:
        status, out, err = run("tasks", running.pid, "--via", found[-1], "--json")
        assert (status, err) == (0, "")
        assert "worker-4" in out and json.loads(out)["session"]["hooks"] == hooks()


def test_a_copy_of_the_hooks_in_c_that_fits_or_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert native.copy_for("riscv64")["why"] in (
        f"looptop runs on {platform.machine()}, this program on riscv64",
        native.file().get("why"),
    )
    copied = native.copy_for(platform.machine())
    if "why" in copied:
        pytest.skip(f"the hooks in C cannot be sent: {copied['why']}")
    facts, data = native.arrived(copied, os.getpid())
    assert data.startswith(b"\x7fELF") and len(data) < 1 << 18, "without debug information"
    assert (facts["loaded"], facts["build"]) == (None, native.file()["build"])
    for wrong in ({"size": copied["size"] + 1}, {"hash": "0" * 64}):
        assert native.arrived({**copied, **wrong}, os.getpid()) == ({"why": "the copy that arrived is damaged"}, b"")
    assert "why" in native.arrived(copied, 2**31 - 1)[0]
    monkeypatch.setattr(native.os, "confstr", lambda _: None)
    assert native.copy_for(platform.machine()) == {"why": "looptop runs without glibc"}
