"""What programs that mean harm do to root when it looks at them or attaches: nothing that they chose is touched."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from inject_targets import PATIENCE, Running
from test_matrix import look
from waiting import wait_until

from monitor.attach import find
from monitor.attach.inject import helper, inject, payload
from monitor.errors import ConnectError, ProbeGone
from monitor.transport import fd_passing, memory_file
from monitor.transport.mailbox import Answer

if TYPE_CHECKING:
    from monitor.attach.inject.target import Target

NAME = "looptop-0123456789abcdef"
NOBODY = 65534
_IN_ALL = 0xFFF  # inotify(7): every event


class Watched:
    """A file, and whether anybody has done anything with it."""

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.handle = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        assert libc.inotify_add_watch(self.handle, os.fsencode(path), _IN_ALL) >= 0

    def events(self) -> list[int]:
        """The kinds of events since the last call."""
        try:
            data = os.read(self.handle, 65536)
        except BlockingIOError:
            return []
        found = []
        while data:
            _, kind, _, length = struct.unpack_from("iIII", data)
            found.append(kind)
            data = data[16 + length :]
        return found

    def close(self) -> None:
        os.close(self.handle)


@pytest.fixture
def disguised() -> Iterator[Path]:
    """The path of what looks like a deleted file of a probe to who only reads links."""
    path = Path(f"/tmp/{NAME} (deleted)")
    yield path
    with suppress(FileNotFoundError):
        path.unlink()


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_what_is_only_called_like_the_file_of_a_probe_is_not_opened(kind: str, disguised: Path) -> None:
    if kind == "file":
        disguised.write_bytes(b"parts?\n")
        disguised.chmod(0o600)
    else:
        os.mkfifo(disguised, 0o600)
    handle = os.open(disguised, os.O_PATH)
    watched = Watched(disguised)
    try:
        assert memory_file.named(os.getpid(), str(handle), NAME), "or this test proves nothing"
        assert fd_passing.find(os.getpid()) is None
        answer = Answer(os.getpid(), NAME, b"parts")
        assert not answer.check()
        assert not answer.seen
        assert watched.events() == []
        os.close(os.open(disguised, os.O_RDONLY | os.O_NONBLOCK))
        assert watched.events(), "or it was not watched"
    finally:
        os.close(handle)
        watched.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a file of another user's")
def test_a_file_of_another_user_is_neither_believed_nor_written_to() -> None:
    path = Path("/dev/shm", NAME)
    path.write_bytes(b"parts?\n")
    path.chmod(0o600)
    os.chown(path, NOBODY, NOBODY)
    handle = os.open(path, os.O_RDWR)
    path.unlink()
    shared = os.memfd_create(NAME.replace("0", "1"))
    os.write(shared, b"parts?\n")
    os.fchown(shared, NOBODY, NOBODY)
    try:
        for number, name in ((handle, NAME), (shared, NAME.replace("0", "1"))):
            assert not Answer(os.getpid(), name, b"parts").check()
            assert os.pread(number, 100, 0) == b"parts?\n"
    finally:
        os.close(handle)
        os.close(shared)


def test_a_memory_file_is_known_by_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = os.memfd_create(NAME)
    try:
        with memory_file.MemoryFile(os.getpid(), str(handle), NAME) as file:
            assert file.read(10) == b""
        with pytest.raises(OSError, match="not the file of a probe"):
            memory_file.MemoryFile(os.getpid(), str(handle), NAME.replace("0", "1"))
        monkeypatch.setattr(memory_file, "_memory_device", lambda: -1)
        with pytest.raises(OSError, match="not the file of a probe"):
            memory_file.MemoryFile(os.getpid(), str(handle), NAME)
    finally:
        os.close(handle)


VICTIM = b"# of root's alone\n"

TRUNCATING = """
import posix, subprocess
genuine = posix.memfd_create
def hostile(name, flags):
    path = f"/tmp/{name} (deleted)"
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    subprocess.run(["mount", "--bind", os.environ["VICTIM"], path], check=True)
    os.open(path, os.O_PATH)
    os.write(1, b"done\\n")
    return genuine("other", flags)
posix.memfd_create = hostile
async def main():
    subprocess.run(["mount", "-t", "tmpfs", "none", "/tmp"], check=True)
    asyncio.get_running_loop().call_soon(ready)
    await asyncio.sleep(3600)
asyncio.run(main())
"""
IN_A_NAMESPACE = {
    "as root": ("unshare", "--mount"),
    "as nobody": (
        *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
        *("unshare", "--user", "--map-root-user", "--mount"),
    ),
}


@pytest.mark.parametrize("who", IN_A_NAMESPACE)
def test_attach_leaves_a_file_that_the_program_put_in_the_place_of_the_answer(
    who: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    before = IN_A_NAMESPACE[who]
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv"))):
        pytest.skip("needs root, unshare and setpriv: the attack is on root")
    if subprocess.run([*before, "/bin/true"], capture_output=True).returncode:
        pytest.skip(f"no right to make namespaces {who}")
    home = Path(tempfile.mkdtemp(prefix="theirs-", dir="/var/tmp"))  # not below /tmp, which the program covers
    request.addfinalizer(lambda: shutil.rmtree(home, ignore_errors=True))
    home.chmod(0o755)
    victim = home / "victim"
    victim.write_bytes(VICTIM)
    victim.chmod(0o600)
    python = sys.executable if who == "as root" else "/usr/bin/python3"
    if not Path(python).exists():
        pytest.skip("there is no Python that nobody may run")
    with Running(python, TRUNCATING, home, before=before, VICTIM=str(victim)) as running:
        watched = Watched(victim)
        with pytest.raises(ConnectError, match="has not started the probe"):
            inject(running.pid, payload.make({"leave": True}, PATIENCE), timeout=1.0)
        assert running.line() == "done", "or there was no attack"
        assert fd_passing.find(running.pid) is None
        assert watched.events() == []
        watched.close()
        assert victim.read_bytes() == VICTIM
        assert running.alive


def test_a_door_that_leads_to_somebody_else_is_not_used(tmp_path: Path) -> None:
    """A service would take what root sends for root's wish."""
    if not fd_passing.possible():
        pytest.skip("this kernel lets nobody take descriptors of another process (Linux 5.6 does)")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.bind(str(tmp_path / "service"))
        service.setblocking(False)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hostile:
            hostile.connect(str(tmp_path / "service"))
            with pytest.raises(ProbeGone):
                fd_passing.enter(os.getpid(), hostile.fileno(), 1.0)
        with pytest.raises(BlockingIOError):
            service.recv(10)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
        try:  # it has the pair, and has not made it
            with pytest.raises(ProbeGone):
                fd_passing.enter(child, ours.fileno(), 1.0)
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)


WITHOUT_MEMORY_FILES = """
import posix
del posix.memfd_create
async def main():
    kept = [asyncio.create_task(asyncio.sleep(3600), name=f"worker-{i}") for i in range(5)]
    asyncio.get_running_loop().call_soon(ready)
    await asyncio.sleep(3600)
asyncio.run(main())
"""


def test_a_python_without_memory_files(tmp_path: Path, runtime_dir: Path) -> None:
    with Running(sys.executable, WITHOUT_MEMORY_FILES, tmp_path) as running:
        result = inject(running.pid, payload.make({"leave": True}, PATIENCE), timeout=PATIENCE)
        with look(result) as viewer:
            viewer.until(lambda: "worker-4" in viewer.names(), "the tasks")
            found = fd_passing.find(running.pid)
            assert found is not None
            assert found.number == result.listen_fd
        wait_until(lambda: fd_passing.find(running.pid) is None, "the end of the probe")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_root_neither_removes_nor_connects_to_what_another_user_announces(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path(tempfile.mkdtemp(prefix="theirs-"))
    try:
        monkeypatch.setattr(find.protocol, "runtime_dirs", lambda _environ, _uid: [str(home)])
        said = {"session": "1f", "socket": "/run/of-root.sock", "token_file": "/etc/shadow", "started": 0.0}
        for pid, started in ((os.getpid(), 0.0), (os.getpid() + 1, 1.0)):
            file = home / f"{pid}.json"
            file.write_text(json.dumps({**said, "pid": pid, "started": started}))
            os.chown(file, NOBODY, NOBODY)
        os.chown(home, NOBODY, NOBODY)
        (found,) = find.probes(uid=NOBODY).probes
        assert found.socket == str(home / f"{os.getpid()}.sock")
        assert found.token_file is None
        assert len(list(home.iterdir())) == 2
    finally:
        shutil.rmtree(home)


@pytest.mark.parametrize("foreign", [True, False])
def test_only_ptrace_goes_into_the_program_of_another_user(foreign: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """gdb and `sys.remote_exec` open, by name, what it has mapped."""
    monkeypatch.setattr(helper.remote_exec, "why_not", lambda _: "")
    monkeypatch.setattr(helper.gdb, "why_not", lambda: "")
    target = cast("Target", SimpleNamespace(foreign=foreign))
    tried: list[dict[str, str]] = []
    ways = helper.open_ways(target, "auto", tried)
    assert ways == (["ptrace"] if foreign else ["remote_exec", "ptrace"])
    assert [one["method"] for one in tried] == (["remote_exec"] if foreign else [])
    assert helper.open_ways(target, "remote_exec", tried) == ["remote_exec"]
