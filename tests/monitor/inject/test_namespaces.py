"""Programs in containers and of other users: namespaces that the test makes, and users that it becomes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from inject_targets import PATIENCE, ROOT, Running, interpreters
from test_matrix import difference, look, settled
from waiting import wait_until

from monitor.attach.inject import inject, payload, target
from monitor.errors import ConnectError
from monitor.transport import fd_passing

CONTAINER = ("unshare", "--pid", "--mount", "--net", "--fork", "--kill-child", "--mount-proc")
NOBODY = 65534
SYSTEM = "/usr/bin/python3"
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


@pytest.fixture
def contained() -> tuple[str, ...]:
    """What makes a container of a program."""
    try:
        made = subprocess.run([*CONTAINER, "/bin/true"], capture_output=True, timeout=60).returncode == 0
    except OSError:
        made = False
    if not made:
        pytest.skip("no right to make namespaces here (unshare --pid --mount --net), so no container to go into")
    return CONTAINER


def fact(pid: int, key: str) -> list[str]:
    """The words of one line of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.partition(":")[2] for line in lines if line.startswith(f"{key}:")).split()


@pytest.mark.parametrize("way", ["descriptor", "file"])
def test_from_the_host_into_a_container(
    way: str, contained: tuple[str, ...], tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "file":
        monkeypatch.setattr(payload.fd_passing, "possible", lambda: False)
    # A file system of its own at /mnt: what is there is not there for us.
    command = (*contained, "sh", "-c", 'mount -t tmpfs none /mnt && exec "$@"', "sh")
    with Running(interpreters()["own"], "idle", tmp_path, before=command, LOOPTOP_DIR="/mnt/run") as running:
        before, threads, files = running.state(), running.threads(), running.files()
        result = inject(running.pid, payload.make({"leave": True}, PATIENCE), timeout=PATIENCE)
        assert (result.method, bool(result.socket)) == ("ptrace", way == "file")
        assert not result.socket or result.socket.startswith(f"/proc/{running.pid}/root/mnt/run/")
        with look(result) as viewer:
            viewer.until(lambda: "worker-4" in viewer.names(), "the tasks")
            assert viewer.frames[0]["pid"] == int(fact(running.pid, "NSpid")[-1]) != running.pid
            if way == "descriptor":
                command = (sys.executable, "-m", "monitor", "tasks", str(running.pid))
                done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
                assert "worker-4" in done.stdout, done.stderr
                assert f"  pid {running.pid}  " in done.stdout, "the number that was asked for"
            viewer.ask("detach")
            viewer.until_end()
        settled(running, threads, files)
        wait_until(lambda: difference(before, running.state()) == {}, "nothing of the probe to be left")
        left = [path.name for path in Path(f"/proc/{running.pid}/root/mnt").rglob("*")]
        assert left in ([], ["run"])
        assert running.stderr == ""


needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None or "system" not in interpreters(),
    reason="needs root, setpriv and /usr/bin/python3 from 3.11 on, to be somebody else",
)


def open_to_nobody(folder: Path) -> None:
    """Lets another user come as far as this folder."""
    for path in (folder, *folder.parents):
        if path.parts[:2] == ("/", "tmp") and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o055)


@needs_root
@pytest.mark.parametrize("way", ["descriptor", "file"])
def test_root_goes_into_a_program_of_another_user_and_runs_nothing_of_theirs(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if way == "file":
        monkeypatch.setattr(payload.fd_passing, "possible", lambda: False)
    open_to_nobody(tmp_path)
    home = Path(tempfile.mkdtemp(prefix="theirs-"))  # short: it has to hold the path of a socket
    request.addfinalizer(lambda: shutil.rmtree(home, ignore_errors=True))
    os.chown(home, NOBODY, NOBODY)
    started: list[str] = []

    class Watched(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, command: list[str], *args: object, **kwargs: object) -> None:
            started.append(command[0])
            super().__init__(command, *args, **kwargs)  # type: ignore[call-overload]

    with Running(SYSTEM, "idle", tmp_path, before=AS_NOBODY, LOOPTOP_DIR=str(home / "run")) as running:
        assert fact(running.pid, "Uid")[0] == str(NOBODY)
        with monkeypatch.context() as patched:
            patched.setattr(subprocess, "Popen", Watched)
            result = inject(running.pid, payload.make({"leave": True}, PATIENCE), timeout=PATIENCE)
        assert started == [sys.executable], "only our own interpreter"
        with look(result) as viewer:
            viewer.until(lambda: "worker-4" in viewer.names(), "the tasks")
            assert viewer.ask("detach")[-1]["ok"]
            viewer.until_end()
        wait_until(lambda: fd_passing.find(running.pid) is None, "the end of the probe")
        assert running.alive
        assert running.stderr == ""


@needs_root
def test_a_plain_user_goes_into_a_program_of_their_own(tmp_path: Path) -> None:
    open_to_nobody(tmp_path)
    copy = tmp_path / "looptop"
    for package in ("monitor", "probes"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__", "native"))
    with Running(SYSTEM, "idle", tmp_path, before=AS_NOBODY) as running:
        command = (*AS_NOBODY, SYSTEM, "-B", "-m", "monitor.attach.inject", str(running.pid))
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=60)
        assert '"ok": true' in done.stdout, done.stdout + done.stderr
        assert running.alive


@pytest.mark.parametrize(
    ("scope", "message", "hint"),
    [
        ("1", "kernel.yama.ptrace_scope=1 lets only root attach to processes that are not your children", "use sudo"),
        ("2", "kernel.yama.ptrace_scope=2 lets only root attach at all", "use sudo"),
        ("3", "kernel.yama.ptrace_scope=3 forbids attaching to any process", "until the next boot"),
        ("0", "no permission to attach to PID 4242", "not dumpable"),
    ],
)
def test_what_yama_forbids(
    scope: str, message: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "YAMA", tmp_path / "ptrace_scope")
    monkeypatch.setattr(target, "capable", lambda _: False)
    (tmp_path / "ptrace_scope").write_text(f"{scope}\n")
    mine = os.geteuid()
    error = target.denied(4242, {"Uid": f"{mine}\t{mine}\t{mine}\t{mine}"}, PermissionError(13, "Permission denied"))
    assert isinstance(error, ConnectError)
    assert (error.message, error.status) == (message, 3)
    assert hint in error.hint
