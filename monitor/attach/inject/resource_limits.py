"""Checks whether a process has descriptors, address space, memory and threads for a probe. Reads /proc and /sys.

A program at its limits is left alone: its next allocation would fail, or the kernel would kill it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.errors import ConnectError

if TYPE_CHECKING:
    from collections.abc import Iterator

SPARE_FILES = 12
"""Descriptors that a probe needs."""

MEMORY = 16 << 20
"""Bytes of its control group's memory that a probe may need: at first about 10 MB."""

THREADS = 3
"""Threads of a probe at a time: bootstrap, probe and teardown."""

GROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 21 | 1 << 24
"""CAP_SYS_ADMIN and CAP_SYS_RESOURCE: a process with either has no limit on threads."""

_STACKS = 2  # threads of a probe, each with a stack of the limit's size
_V1, _V2 = ("memory.limit_in_bytes", "memory.usage_in_bytes"), ("memory.max", "memory.current")


def check(pid: int, status: dict[str, str]) -> None:
    """Raise ConnectError if a process lacks resources. `status` is the content of /proc/PID/status."""
    try:
        limits = Path(f"/proc/{pid}/limits").read_text()
        files = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - many entries, and only their number is needed
    except OSError:
        return
    most = _limit(limits, "Max open files")
    if most is not None and files + SPARE_FILES > most:
        raise ConnectError(f"PID {pid} has {files} of at most {most} files open", "a probe needs a few of its own")
    _check_address_space(pid, limits, status)
    _check_threads_of_user(pid, limits, status)
    listed = Path(f"/proc/{pid}/cgroup")
    for folder in groups(listed, "memory"):
        _check_memory(pid, folder)
    for folder in groups(listed, "pids"):
        _check_threads(pid, folder)


def _limit(limits: str, name: str) -> int | None:
    """A soft limit; None if unlimited."""
    found = re.search(rf"^{name}\s+(\d+)", limits, re.MULTILINE)
    return None if found is None else int(found[1])


def _check_address_space(pid: int, limits: str, status: dict[str, str]) -> None:
    most = _limit(limits, "Max address space")
    used = int(status.get("VmSize", "0").split()[0]) << 10
    needed = MEMORY + _STACKS * (_limit(limits, "Max stack size") or 8 << 20)
    if most is not None and used + needed > most:
        text = f"PID {pid} uses {_mb(used)} of at most {_mb(most)} MiB of address space (ulimit -v)"
        raise ConnectError(text, f"a probe needs {_mb(needed)} MiB more")


def _check_threads_of_user(pid: int, limits: str, status: dict[str, str]) -> None:
    """Check RLIMIT_NPROC, which counts all threads of the real user and does not apply to privileged processes."""
    most = _limit(limits, "Max processes")
    user = status.get("Uid", "0").split()[0]
    if most is None or user == "0" or int(status.get("CapEff", "0"), 16) & _UNLIMITED:
        return
    # Counting is slow, while the kernel reports the number of all users' threads at once.
    if _threads_of_all() + THREADS <= most:
        return
    used = _threads_of(user)
    if used + THREADS > most:
        text = f"PID {pid} may have at most {most} threads and processes (ulimit -u), and its user has {used}"
        raise ConnectError(text, f"a probe needs {THREADS} more")


def _threads_of_all() -> int:
    return int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])


def _threads_of(user: str) -> int:
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            facts = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line)
        except OSError:
            continue
        if facts["Uid"].split()[0] == user:
            total += int(facts["Threads"])
    return total


def groups(listed: Path, resource: str, root: Path = GROUPS) -> Iterator[Path]:
    """The visible control group directories of a process, for `memory` or `pids`, innermost first."""
    try:
        lines = listed.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds and resource not in kinds.split(","):
            continue
        top = root / resource if kinds else root
        folder = top / path.strip("/")
        while folder != top.parent:
            yield folder
            folder = folder.parent


def _check_memory(pid: int, folder: Path) -> None:
    for limit, usage in (_V2, _V1):
        try:
            most, used = int((folder / limit).read_text()), int((folder / usage).read_text())
            facts = (folder / "memory.stat").read_text()
        except (OSError, ValueError):  # no such group, or "max"
            continue
        cached = re.search(r"^(?:total_)?inactive_file (\d+)", facts, re.MULTILINE)
        used -= int(cached[1]) if cached is not None else 0  # the kernel reclaims its cache before it kills a process
        if used + MEMORY > most:
            text = f"PID {pid} is in a group that uses {_mb(used)} of at most {_mb(most)} MiB of memory"
            raise ConnectError(text, f"a probe may need {_mb(MEMORY)} MiB more, and the kernel would end the program")


def _check_threads(pid: int, folder: Path) -> None:
    try:
        most, used = int((folder / "pids.max").read_text()), int((folder / "pids.current").read_text())
    except (OSError, ValueError):  # no such group, or "max"
        return
    if used + THREADS > most:
        text = f"PID {pid} is in a group with {used} of at most {most} threads and processes"
        raise ConnectError(text, f"a probe needs {THREADS} more")


def _mb(size: int) -> int:
    return size >> 20
