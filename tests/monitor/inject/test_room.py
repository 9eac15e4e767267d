"""A program at its limits is left alone: a probe would take what it needs next, or make the kernel end it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from inject_targets import ROOT, Running
from test_refusals import refused

from monitor.attach.inject import resource_limits
from monitor.errors import ConnectError

MIB = 1 << 20


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="there is no prlimit here")
def test_too_little_address_space(tmp_path: Path) -> None:
    with Running(sys.executable, "idle", tmp_path) as target:
        size = int(Path(f"/proc/{target.pid}/statm").read_text().split()[0]) * 4096
        subprocess.run(["prlimit", f"--as={size + 8 * MIB}", "--pid", str(target.pid)], check=True)
        error = refused(target.pid)
        assert error.message.startswith(f"PID {target.pid} uses {size // MIB} of at most ")
        assert error.message.endswith(" MiB of address space (ulimit -v)")
        assert error.hint.endswith(" MiB more")
        assert target.state()["sys"]


def group(folder: Path, version: int, most: str, used: int, cached: int = 0) -> Path:
    """The files of a memory group."""
    limit, usage = (
        ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / limit).write_text(most + "\n")
    (folder / usage).write_text(f"{used}\n")
    name = "inactive_file" if version == 2 else "total_inactive_file"
    (folder / "memory.stat").write_text(f"anon 1\n{name} {cached}\n")
    return folder


@pytest.mark.parametrize("version", [1, 2])
def test_too_little_memory_in_a_group(version: int, tmp_path: Path) -> None:
    full = group(tmp_path / "full", version, str(64 * MIB), 60 * MIB)
    with pytest.raises(ConnectError, match="PID 7 is in a group that uses 60 of at most 64 MiB of memory: a probe may"):
        resource_limits._check_memory(7, full)
    resource_limits._check_memory(7, group(tmp_path / "cached", version, str(64 * MIB), 60 * MIB, cached=30 * MIB))
    resource_limits._check_memory(7, group(tmp_path / "wide", version, str(640 * MIB), 60 * MIB))
    resource_limits._check_memory(7, group(tmp_path / "free", version, "max", 60 * MIB))
    resource_limits._check_memory(7, tmp_path / "nothing")


def test_too_few_threads_in_a_group(tmp_path: Path) -> None:
    (tmp_path / "pids.current").write_text("18\n")
    for most in ("21", "max"):
        (tmp_path / "pids.max").write_text(f"{most}\n")
        resource_limits._check_threads(7, tmp_path)
    (tmp_path / "pids.max").write_text("20\n")
    with pytest.raises(ConnectError, match="PID 7 is in a group with 18 of at most 20 threads and processes: a probe"):
        resource_limits._check_threads(7, tmp_path)
    resource_limits._check_threads(7, tmp_path / "nothing")


CROWDED = """
import os, resource, sys
os.setuid(54321)
for most in (3, 100):
    resource.setrlimit(resource.RLIMIT_NPROC, (most, 100))
    print(flush=True)
    sys.stdin.readline()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's limit wants root")
def test_a_user_who_may_have_no_more_threads() -> None:
    with subprocess.Popen([sys.executable, "-c", CROWDED], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
        text = (
            f"PID {process.pid} may have at most 3 threads and processes \\(ulimit -u\\), and its user has 1: a probe"
        )
        with pytest.raises(ConnectError, match=text):
            resource_limits.check(process.pid, status)
        resource_limits.check(process.pid, {**status, "CapEff": "0000000001000000"})  # CAP_SYS_RESOURCE
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        resource_limits.check(process.pid, status)
        process.stdin.close()


def test_the_groups_above_count_too(tmp_path: Path) -> None:
    listed = tmp_path / "cgroup"
    listed.write_text("8:pids:/a\n4:cpu,memory:/pod/app\n0::/pod/app\n")
    found = [str(folder.relative_to(tmp_path)) for folder in resource_limits.groups(listed, "memory", tmp_path)]
    assert found == ["memory/pod/app", "memory/pod", "memory", "pod/app", "pod", "."]
    assert [str(folder.relative_to(tmp_path)) for folder in resource_limits.groups(listed, "pids", tmp_path)][:2] == [
        "pids/a",
        "pids",
    ]
    assert list(resource_limits.groups(tmp_path / "gone", "memory", tmp_path)) == []


def test_a_dry_run_refuses_what_would_be_refused() -> None:
    program = [sys.executable, "-S", "-c", "print(flush=True); input()"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as target:
        assert target.stdout is not None
        target.stdout.readline()
        command = [sys.executable, "-m", "monitor", "attach", str(target.pid), "--dry-run"]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        target.kill()
    assert (told.returncode, told.stdout) == (3, "")
    assert "has not loaded asyncio" in told.stderr
