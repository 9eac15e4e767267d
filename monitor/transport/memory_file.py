"""Memory files that a probe makes to exchange data with looptop, opened only if the kernel proves what they are.

A program can give any of its descriptors any name: by a bind mount in its own namespace, `/memfd:looptop-…` can
be a file of root's, a device or a pipe. So a descriptor is first opened with `O_PATH`, which does not affect its
target, and then compared: a memory file lies on the kernel's internal file system, which nobody can mount or put
files on; and where `memfd_create` is not available, it is an unnamed regular file that belongs to the program's
own user. Only then is that same object opened for reading. It is written only if it belongs to the program's user.
"""

from __future__ import annotations

import ctypes
import os
import re
import stat
from functools import cache
from pathlib import Path

_LINK = re.compile(r"(/memfd:|/dev/shm/|/tmp/|/var/tmp/)(looptop-[0-9a-f]{16}) \(deleted\)")
_MEMORY = "/memfd:"
_CLOEXEC = 1  # MFD_CLOEXEC


def numbers(pid: int) -> list[str]:
    """The descriptor numbers of a process. Raises OSError."""
    return os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208 - only names are needed


def named(pid: int, number: str, name: str | None = None) -> bool:
    """Whether a descriptor has the name of such a file: exactly `name`, or any if it is None. Proves nothing."""
    try:
        found = _LINK.fullmatch(os.readlink(f"/proc/{pid}/fd/{number}"))  # noqa: PTH115 - not a path in our file system
    except OSError:
        return False
    return found is not None and name in (None, found[2])


class MemoryFile:
    """A verified memory file. Use it as a context manager."""

    def __init__(self, pid: int, number: str, name: str | None = None) -> None:
        """Raises OSError if the descriptor is not such a file."""
        self._place = os.open(f"/proc/{pid}/fd/{number}", os.O_PATH | os.O_CLOEXEC)
        try:
            self._facts = os.fstat(self._place)
            self._owners = _users(pid)
            # Check the object that was opened: the number may already mean another one.
            link = _LINK.fullmatch(os.readlink(self._again))  # noqa: PTH115 - as above
            if link is None or name not in (None, link[2]) or not self._proven(link[1]):
                raise OSError(0, "it is not the file of a probe")
        except BaseException:
            os.close(self._place)
            raise

    @property
    def _again(self) -> str:
        return f"/proc/self/fd/{self._place}"

    def _proven(self, folder: str) -> bool:
        facts = self._facts
        if not stat.S_ISREG(facts.st_mode):
            return False
        if folder == _MEMORY:
            return facts.st_dev == _memory_device()
        return facts.st_nlink == 0 and stat.S_IMODE(facts.st_mode) == 0o600 and facts.st_uid in self._owners

    def __enter__(self) -> MemoryFile:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._place)

    def read(self, size: int) -> bytes:
        """The first `size` bytes."""
        handle = os.open(self._again, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return os.pread(handle, size, 0)
        finally:
            os.close(handle)

    def write(self, *pieces: tuple[int, bytes]) -> None:
        """Write bytes at these offsets, in order. Raises PermissionError if the file is not the program's own."""
        if self._facts.st_uid not in self._owners:
            raise PermissionError(1, "it belongs to another user")
        handle = os.open(self._again, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            for at, data in pieces:
                done = 0
                while done < len(data):
                    done += os.pwrite(handle, data[done:], at + done)
        finally:
            os.close(handle)


def _users(pid: int) -> set[int]:
    """Real, effective, saved and file system user ids of a process."""
    for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
        if line.startswith("Uid:"):
            return {int(word) for word in line.split()[1:]}
    return set()


@cache
def _memory_device() -> int:
    """The device number of this kernel's memory files; -1 without memfd_create."""
    try:
        handle = int(ctypes.CDLL(None, use_errno=True).memfd_create(b"looptop", _CLOEXEC))  # missing in some `os`
    except AttributeError:
        return -1
    if handle < 0:
        return -1
    try:
        return os.fstat(handle).st_dev
    finally:
        os.close(handle)
