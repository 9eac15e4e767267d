"""Finds out how a local process ended, as far as that is visible without being its parent."""

from __future__ import annotations

import contextlib
import os
import struct

from monitor.attach.processes import stat_of

_GET_INFO = 0xC040FF0B  # PIDFD_GET_INFO with a struct of 64 bytes
_EXIT = 1 << 3  # PIDFD_INFO_EXIT, from Linux 6.15 on
_LONG = 52
"""Number of fields of /proc/PID/stat. The last one is the exit status of a process that its parent has not reaped."""


class End:
    """Keeps a pidfd of a process, so that its exit status can be read after its end."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._handle: int | None = None
        with contextlib.suppress(AttributeError, OSError):
            self._handle = os.pidfd_open(pid)

    def status(self) -> int | None:
        """Its exit status, negative for a signal; None if it is running or the status cannot be read."""
        status = self._from_kernel()
        if status is None:
            status = self._from_zombie()
        return None if status is None else os.waitstatus_to_exitcode(status)

    @property
    def ended(self) -> bool:
        """Whether it has ended, reaped or not."""
        fields = self._stat()
        return not fields or fields[0] in "ZX"

    def close(self) -> None:
        """Close the descriptor of the process, if there is one; may be called twice."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _from_kernel(self) -> int | None:
        import fcntl

        if self._handle is None:
            return None
        answer = bytearray(struct.pack("Q56x", _EXIT))
        try:
            fcntl.ioctl(self._handle, _GET_INFO, answer)
        except OSError:  # an older kernel, or its parent has not reaped it yet
            return None
        mask, status = struct.unpack("Q52xi", answer)
        return int(status) if mask & _EXIT else None

    def _from_zombie(self) -> int | None:
        fields = self._stat()
        whole = len(fields) == _LONG - 2 and fields[0] == "Z"
        return int(fields[-1]) if whole else None

    def _stat(self) -> list[str]:
        """Fields of /proc/PID/stat, from the state on; none once it has been reaped."""
        try:
            return stat_of(self._pid)
        except OSError:
            return []
