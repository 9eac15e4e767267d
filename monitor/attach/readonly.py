"""Watches a program from outside, without a probe: `unwinder` runs in another process and sends a probe's frames.

Only for CPython 3.14 and newer, with an interpreter of the same minor version: it can read another interpreter's
tasks without stopping it. Everything else (times, counts, creation sites) is unknown, and null.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]

from monitor.attach import programs, watchability
from monitor.attach.inject.interpreter import for_reading
from monitor.attach.memory_maps import read_maps
from monitor.errors import Closed, ConnectError, ProcessGone
from monitor.transport.connection import GREETING, Connection, first_frame
from probes.base import protocol

if TYPE_CHECKING:
    from monitor.protocol.frames import Hello

UNWINDER = Path(__file__).with_name("unwinder.py")
CAPABILITY = "read-only"


class ReadOnlyConnection(Connection):
    """A connection to the reader process. Closing it ends the reader."""

    def __init__(self, sock: socket.socket, where: str, reader: subprocess.Popen[bytes], owner: int) -> None:
        super().__init__(sock, where)
        self._reader, self._owner = reader, owner

    @property
    def owner(self) -> int:
        """The user id of the process that is read; the reader itself has ours."""
        return self._owner

    def close(self) -> None:
        """End the reader process."""
        super().close()
        try:
            self._reader.wait(0.5)
        except subprocess.TimeoutExpired:  # it is in the middle of a scan and ends after it
            self._reader.kill()
            self._reader.wait()
        if self._reader.stderr is not None:
            self._reader.stderr.close()

    def complaint(self) -> str:
        """What the reader printed before it gave up."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._reader.wait(1.0)
        if self._reader.poll() is None or self._reader.stderr is None:
            return ""
        return self._reader.stderr.read(4096).decode("utf-8", "replace").strip()


def open_readonly(pid: int, why: str = "as asked") -> Connection:
    """Read a process from outside; `why` is shown on the screen. Raises ConnectError if that is not possible."""
    process, program, interpreter = _preflight(pid)
    ours, theirs = socket.socketpair()
    with theirs:
        facts: dict[str, object] = {"pid": pid, "protocol": protocol.PROTOCOL, "kind": program.loop or "asyncio"}
        facts["hello"] = _hello(process, program, why)
        argv = [interpreter, "-I", "-S", str(UNWINDER), str(theirs.fileno()), json.dumps(facts)]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        try:
            reader = subprocess.Popen(  # noqa: S603 - our own interpreter, the owner's, or one on PATH
                argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, env=environ, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            ours.close()
            raise ConnectError(f"{interpreter} cannot be run", error.strerror or str(error)) from None
    connection = ReadOnlyConnection(ours, f"process {pid}", reader, process.uids().effective)
    try:
        connection.hello = _first(connection, pid)
    except BaseException:
        connection.close()
        raise
    return connection


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


def _first(connection: ReadOnlyConnection, pid: int) -> Hello:
    try:
        frame = first_frame(connection, time.monotonic() + GREETING)
    except Closed:
        said = connection.complaint()
        if not psutil.pid_exists(pid):
            raise ProcessGone(f"no process has the pid {pid}", "it has just ended") from None
        raise ConnectError(f"process {pid} cannot be read", said or "the reader ended without a message") from None
    from monitor.protocol.frames import Hello

    if not isinstance(frame, Hello):
        raise ConnectError(f"process {pid} cannot be read", "the reader does not say hello")
    return frame


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
