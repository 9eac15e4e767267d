"""Watches a program from outside, without a probe: `unwinder` runs in another process and sends a probe's frames.

Only for CPython 3.14 and newer, with an interpreter of the same minor version: it can read another interpreter's
tasks without stopping it. Everything else (times, counts, creation sites) is unknown, and null.
"""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from monitor.attach.outside import ASKED, Reader, failed, start
from monitor.errors import Closed, ConnectError
from monitor.transport.connection import GREETING, Connection, first_frame

if TYPE_CHECKING:
    from monitor.protocol.frames import Hello


class ReadOnlyConnection(Connection):
    """A connection to the reader process. Closing it ends the reader."""

    def __init__(self, where: str, reader: Reader) -> None:
        super().__init__(reader.sock, where)
        self._reader = reader

    @property
    def owner(self) -> int:
        """The user id of the process that is read; the reader itself has ours."""
        return self._reader.owner

    def close(self) -> None:
        """End the reader process."""
        super().close()
        process = self._reader.process
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:  # it is in the middle of a scan and ends after it
            process.kill()
            process.wait()
        if process.stderr is not None:
            process.stderr.close()


def open_readonly(pid: int, why: str = ASKED) -> Connection:
    """Read a process from outside; `why` is shown on the screen. Raises ConnectError if that is not possible."""
    reader = start(pid, why)
    connection = ReadOnlyConnection(f"process {pid}", reader)
    try:
        connection.hello = _first(connection, pid, reader)
    except BaseException:
        connection.close()
        raise
    return connection


def _first(connection: ReadOnlyConnection, pid: int, reader: Reader) -> Hello:
    try:
        frame = first_frame(connection, time.monotonic() + GREETING)
    except Closed:
        raise failed(pid, reader) from None
    from monitor.protocol.frames import Hello

    if not isinstance(frame, Hello):
        raise ConnectError(f"process {pid} cannot be read", "the reader does not say hello")
    return frame
