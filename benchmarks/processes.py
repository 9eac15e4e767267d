"""Starts the processes of a benchmark from this repository, pins them, talks to them in lines, and ends them."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

from probes.hooks import backend

from .worker import MISSING

# On import, so that no benchmark can forget it: the figures would be those of the hooks in Python.
if backend.why_pure == backend.STALE:
    sys.exit("benchmarks: the native file is stale: make env")

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0
"""Seconds to wait for an answer of a process."""
STEADY = {"MALLOC_MMAP_THRESHOLD_": str(4 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20), "PYTHONHASHSEED": "1"}
"""asyncio reads sockets into pieces of 256 KiB. Whether glibc gets and returns each of these from the kernel depends on
what happens to lie at the end of the heap, and changes the works with sockets by a factor of two; so it never does."""


class Skipped(Exception):  # noqa: N818 - nothing is wrong
    """The workload cannot run here; the message says why."""


def cores() -> tuple[int, int]:
    """The core for workers, and the core for everything else."""
    available = sorted(os.sched_getaffinity(0))
    return available[-1], available[0]


def spawn(*command: str, core: int, **environment: str) -> subprocess.Popen[bytes]:
    """Starts a process of the benchmarks, in the root of the repository."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, **STEADY, "PYTHONPATH": str(ROOT), **environment},
    )
    os.sched_setaffinity(process.pid, {core})  # threads that it starts later are pinned with it
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process started by `spawn`, stopped or not."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.wait()


def ask(process: subprocess.Popen[bytes], command: str = "") -> bytes:
    """Sends a line, unless it is empty, and waits for the line that answers it."""
    assert process.stdin is not None
    assert process.stdout is not None
    if command:
        process.stdin.write(command.encode() + b"\n")
        process.stdin.flush()
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
    line = process.stdout.readline() if ready else b""
    if line:
        return line
    if not ready:
        raise RuntimeError(f"{process.args} has not answered for {PATIENCE:.0f} s")
    if process.wait() == MISSING:
        raise Skipped
    raise RuntimeError(f"{process.args} ended with status {process.returncode}")
