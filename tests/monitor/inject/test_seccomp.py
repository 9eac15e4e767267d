"""Programs with seccomp filters: whether they kill is found out without a call that could, and then looptop stays out."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from inject_targets import PATIENCE, ROOT, Running, interpreters
from test_matrix import look
from test_namespaces import AS_NOBODY, SYSTEM, needs_root, open_to_nobody
from test_refusals import refused

from monitor.attach.inject import inject, payload, seccomp
from monitor.errors import ConnectError

KILL_PROCESS, KILL_THREAD, TRAP, ERRNO, ALLOW = 0x80000000, 0, 0x30000, 0x50001, 0x7FFF0000

INSTALL = """
import ctypes, struct
def install(action, number, argument=None, bits=0):
    op = lambda code, k, yes=0, no=0: struct.pack("=HBBI", code, yes, no, k)
    program = op(0x20, 0) + op(0x15, number, 0, 1 if argument is None else 3)
    if argument is not None:
        program += op(0x20, 16 + 8 * argument) + op(0x45, bits, 0, 1)
    program += op(0x06, action) + op(0x06, 0x7FFF0000)
    buffer = ctypes.create_string_buffer(program, len(program))
    libc = ctypes.CDLL(None, use_errno=True)
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
    filter = Program(len(program) // 8, ctypes.addressof(buffer))
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.byref(filter), 0, 0) == 0, ctypes.get_errno()
"""

FILTERED = (
    INSTALL
    + """
async def main():
    kept = [asyncio.create_task(asyncio.sleep(3600), name=f"worker-{i}") for i in range(5)]
    install(%s)
    asyncio.get_running_loop().call_soon(ready)
    await asyncio.sleep(3600)
asyncio.run(main())
"""
)

reads_filters = pytest.mark.skipif(
    os.geteuid() != 0 or "Seccomp:\t0" not in Path("/proc/self/status").read_text(),
    reason="only root without a filter can read those of others",
)


@reads_filters
@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("memfd_create", f"{KILL_PROCESS}, 319"),
        ("memfd_create", f"{KILL_THREAD}, 319"),
        ("memfd_create", f"{TRAP}, 319"),
        ("clone3", f"{KILL_PROCESS}, 435"),
        ("mmap", f"{KILL_PROCESS}, 9, 2, 4"),  # PROT_EXEC
    ],
)
def test_a_filter_that_kills(call: str, arguments: str, tmp_path: Path) -> None:
    with Running(sys.executable, FILTERED % arguments, tmp_path) as target:
        error = refused(target.pid)
        assert error.message == f"PID {target.pid} has a seccomp filter that kills it for {call}"
        assert "--force" in error.hint
        with pytest.raises(ConnectError) as planned:
            inject(target.pid, payload.make({}, 5), dry_run=True)
        assert planned.value.message == error.message
        assert target.alive
        assert target.state()["sys"]


@reads_filters
@pytest.mark.parametrize("arguments", [f"{KILL_PROCESS}, 165", f"{ERRNO}, 319", f"{KILL_PROCESS}, 9, 2, 0x1000000"])
def test_a_filter_that_does_not_matter(arguments: str, tmp_path: Path, runtime_dir: Path) -> None:
    with Running(sys.executable, FILTERED % arguments, tmp_path) as target:
        with look(inject(target.pid, payload.make({"leave": True}, PATIENCE), timeout=PATIENCE)) as viewer:
            viewer.until(lambda: "worker-4" in viewer.names(), "the tasks")
        assert target.alive


@reads_filters
def test_a_filter_of_one_thread_alone(tmp_path: Path) -> None:
    """The thread that is borrowed has it, the main thread has not."""
    text = f"""
def body():
    install({KILL_PROCESS}, 435)
    asyncio.run(main())
async def main():
    asyncio.get_running_loop().call_soon(ready)
    await asyncio.sleep(3600)
thread = threading.Thread(target=body, daemon=True)
thread.start()
thread.join()
"""
    with Running(sys.executable, INSTALL + text, tmp_path) as target:
        assert "clone3" in refused(target.pid).message
        assert target.alive


@needs_root
def test_a_filter_that_cannot_be_read(tmp_path: Path) -> None:
    open_to_nobody(tmp_path)
    copy = tmp_path / "looptop"
    for package in ("monitor", "probes"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__", "native"))
    with Running(SYSTEM, FILTERED % f"{KILL_PROCESS}, 165", tmp_path, before=AS_NOBODY) as target:
        command = [*AS_NOBODY, SYSTEM, "-B", "-m", "monitor.attach.inject", str(target.pid)]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=60)
        said = json.loads(done.stdout)
        assert "has a seccomp filter, which may kill it" in said["message"], said
        assert "--force" in said["hint"]
        done = subprocess.run([*command, "--force"], cwd=copy, capture_output=True, text=True, timeout=60)
        assert json.loads(done.stdout)["ok"], done.stdout
        assert target.alive


IN_CONTAINER = (
    INSTALL
    + """
import os, subprocess, sys, time
install(%s)
target = subprocess.Popen([sys.executable, "-c", "import asyncio; print(1, flush=True); asyncio.run(asyncio.sleep(60))"],
                          stdout=subprocess.PIPE)
target.stdout.readline()
command = [sys.executable, "-m", "monitor.attach.inject", str(target.pid)]
print(subprocess.run(command, capture_output=True, text=True).stdout, target.poll())
target.kill()
"""
)


@pytest.mark.parametrize(("arguments", "goes"), [(f"{KILL_PROCESS}, 165", True), (f"{KILL_PROCESS}, 319", False)])
def test_the_filter_of_a_container(arguments: str, goes: bool, tmp_path: Path, runtime_dir: Path) -> None:
    """Both have it, and neither may read it."""
    container = ("unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc")
    if subprocess.run([*container, "/bin/true"], capture_output=True).returncode:
        pytest.skip("no right to make namespaces here (unshare --pid --mount)")
    command = [*container, interpreters()["own"], "-c", IN_CONTAINER % arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith(" None\n"), f"the target was killed: {done.stdout} {done.stderr}"
    assert json.loads(done.stdout.removesuffix(" None\n"))["ok"] is goes, done.stdout
    assert goes or "like that of looptop itself" in done.stdout


def op(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, k)


@pytest.mark.parametrize(
    ("program", "returned"),
    [
        (op(0x06, 7), 7),
        (op(0x20, 0) + op(0x16, 0), 319),  # the number
        (op(0x20, 4) + op(0x54, 0xFF) + op(0x16, 0), 0x3E),  # of the machine, the last byte
        (op(0x00, 5) + op(0x02, 3) + op(0x00, 9) + op(0x61, 3) + op(0x1C, 0) + op(0x16, 0), 4),  # 9 - M[3]
        (op(0x00, 1) + op(0x84, 0) + op(0x16, 0), 0xFFFFFFFF),
        (op(0x05, 1) + op(0x06, 1) + op(0x06, 2), 2),
        (op(0x20, 24) + op(0x25, 1, 1, 0) + op(0x06, 3) + op(0x06, 4), 3),  # the second argument is not above 1
        (op(0x80, 0) + op(0x07, 0) + op(0x00, 0) + op(0x87, 0) + op(0x16, 0), 64),
        (op(0x05, 1000), 0),
    ],
)
def test_what_a_filter_returns(program: bytes, returned: int) -> None:
    data = struct.pack("=iIQ6Q", 319, 0xC000003E, 0, 0, 1, 0, 0, 0, 0)
    assert seccomp.run(list(struct.iter_unpack("=HBBI", program)), data) == returned


def test_the_strictest_filter_decides() -> None:
    def about(number: int, action: int) -> bytes:
        return op(0x20, 0) + op(0x15, number, 0, 1) + op(0x06, action) + op(0x06, ALLOW)

    assert seccomp.killed_for([]) == []
    assert seccomp.killed_for([about(319, ERRNO), about(319, KILL_THREAD), about(7, TRAP)]) == ["memfd_create", "poll"]
    # clone is what the C library falls back to.
    assert seccomp.killed_for([about(56, KILL_PROCESS)]) == []
    assert seccomp.killed_for([about(56, KILL_PROCESS), about(435, ERRNO)]) == ["clone"]
