"""Starts the process that reads a program's tasks from outside; or says why that cannot be. Standard library, psutil.

`unwinder` does the reading, under a Python that need not have looptop.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from monitor.attach import programs, targets, watchability
from monitor.attach.inject.interpreter import for_reading
from monitor.attach.memory_maps import read_maps
from monitor.errors import ConnectError, ProcessGone, UsageError
from probes.base import protocol

CAPABILITY = "read-only"
ASKED = "as asked"


@dataclass(frozen=True, slots=True)
class Reader:
    """A process that reads, and the socket on which it speaks the probe's protocol."""

    process: subprocess.Popen[bytes]
    sock: socket.socket
    owner: int  # of the program

    def complaint(self) -> str:
        """What it printed before it gave up; empty if it still reads."""
        try:
            self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            return ""
        return "" if self.process.stderr is None else self.process.stderr.read(4096).decode("utf-8", "replace").strip()


def unwinder() -> Path:
    """The program that reads."""
    return Path(__file__).with_name("unwinder.py")


def pid_of(target: str) -> int:
    """The pid of a TARGET. Raises UsageError if it is not a process on this machine."""
    if target.isascii() and target.isdigit():
        return int(target)
    pid = targets.resolve(target).pid if target.startswith("@") else None
    if pid is None:
        raise UsageError("--read-only is for a process", "give its pid, or @NAME")
    return pid


def start(pid: int, why: str = ASKED, text: str | None = None) -> Reader:
    """Begin to read a process; `why` is shown on the screen. `text`: the unwinder, where there is no file of it.

    Raises ConnectError if that is not possible.
    """
    process, program, interpreter = _preflight(pid)
    ours, theirs = socket.socketpair()
    with theirs:
        facts: dict[str, object] = {"pid": pid, "protocol": protocol.PROTOCOL, "kind": program.loop or "asyncio"}
        facts["hello"] = _hello(process, program, why)
        script = str(unwinder()) if text is None else "-"
        argv = [interpreter, "-I", "-S", script, str(theirs.fileno()), json.dumps(facts), programs.READER]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        try:
            reader = subprocess.Popen(  # noqa: S603 - our own interpreter, the owner's, or one on PATH
                argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environ, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            ours.close()
            raise ConnectError(f"{interpreter} cannot be run", error.strerror or str(error)) from None
    if text is not None:
        assert reader.stdin is not None
        with reader.stdin:
            reader.stdin.write(text.encode())
    return Reader(reader, ours, process.uids().effective)


def failed(pid: int, reader: Reader) -> ConnectError:
    """The error for a reader that gave up at once."""
    complaint = reader.complaint()
    if not psutil.pid_exists(pid):
        return ProcessGone(f"no process has the pid {pid}", "it has just ended")
    return ConnectError(f"process {pid} cannot be read", complaint or "the reader ended without a message")


def why_not(pid: int) -> str | None:
    """Why a process cannot be read from outside; None if no obstacle is visible beforehand."""
    try:
        _preflight(pid)
    except ConnectError as error:
        return str(error)
    return None


def _preflight(pid: int) -> tuple[psutil.Process, programs.Program, str]:
    try:
        process = psutil.Process(pid)
        uid = process.uids().effective
        program = programs.inspect(pid)
    except (psutil.Error, OverflowError):
        raise ProcessGone(f"no process has the pid {pid}", "looptop ps lists what runs here") from None
    if program is None:
        raise ConnectError(f"process {pid} is not a Python program", "looptop ps lists Python programs")
    if not watchability.is_own(uid):
        access = watchability.denied(uid)
        raise ConnectError(f"process {pid} {access.reason}", access.todo)
    if program.asyncio is False:
        raise ConnectError(f"process {pid} has not loaded asyncio", "there is no event loop to watch")
    minor = watchability.minor_of(read_maps(process).python)
    if minor is None:
        raise ConnectError(f"process {pid} does not show which Python it runs", "looptop attach PID puts a probe in")
    refused = watchability.why_not_read(pid, uid, minor)
    interpreter = for_reading(pid, uid, minor)
    if refused is not None or interpreter is None:
        raise ConnectError(f"process {pid} cannot be watched read-only", refused or "")
    return process, program, interpreter


def _hello(process: psutil.Process, program: programs.Program, why: str) -> dict[str, object]:
    """The hello of a process that has no probe to send one."""
    with process.oneshot():
        try:
            folder = process.cwd()
        except psutil.Error:
            folder = ""
        return {
            "pid": program.pid,
            "started": round((program.started or 0.0) * 1e6),
            "name": program.name or "",
            "program": program.title[:1000],
            "argv": [program.command[:4000]],
            "cwd": folder,
            "host": socket.gethostname(),
            "user": program.owner,
            "python": program.python or "",
            "implementation": "CPython",
            "hooks": f"read-only: {why}",
            "capabilities": [CAPABILITY],
            "paths": {"path": [folder]} if folder else {},
        }
