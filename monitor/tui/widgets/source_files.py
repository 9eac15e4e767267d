"""Reads source files that a watched program names. The name is untrusted.

Only regular files are opened, without blocking, and checked again after opening. Files of the kernel (/proc, /sys,
/dev) are never read, since that may block or consume data. Root sees only what the owner of the program could see as
well.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import PurePosixPath

MOST_BYTES = 1 << 20
OF_THE_KERNEL = ("/proc/", "/sys/", "/dev/")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The lines of a file, or why there are none, and its modification time (Unix time)."""

    lines: tuple[str, ...] | str
    changed: float = 0.0
    stamp: tuple[int, ...] = ()


def read_source(path: str, owner: int | None = None, known: SourceFile | None = None) -> SourceFile:
    """Reads a file; returns `known` if it is unchanged. Never raises.

    `owner`: the user id of the program, if the kernel vouches for it. For another user's program, root reads only files
    that belong to that user or that everybody may read.
    """
    try:
        number = _open(path)
    except PermissionError:
        return SourceFile("is not readable by you")
    except (OSError, ValueError):
        return SourceFile("is not on this machine")
    if isinstance(number, str):
        return SourceFile(number)
    try:
        facts = os.fstat(number)
        refused = _refused(number, path, facts, owner)
        if refused:
            return SourceFile(refused)
        stamp = (facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_size)
        if known is not None and known.stamp == stamp:
            return known
        text = _read(number, facts.st_size).decode("utf-8", "replace")
        return SourceFile(tuple(text.split("\n")), facts.st_mtime, stamp)
    except OSError as error:
        return SourceFile(f"cannot be read: {error.strerror}")
    finally:
        os.close(number)


def _open(path: str) -> int | str:
    """Opens a regular file, or returns why not. Never opens a device or waits for a pipe."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    if not hasattr(os, "O_PATH"):
        return os.open(path, flags) if stat.S_ISREG(os.stat(path).st_mode) else "is not a regular file"  # noqa: PTH116
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(place).st_mode):
            return "is not a regular file"
        if _real(place, path).startswith(OF_THE_KERNEL):
            return "is not a source file"
        return os.open(f"/proc/self/fd/{place}", flags)
    finally:
        os.close(place)


def _refused(number: int, path: str, facts: os.stat_result, owner: int | None) -> str:
    if not stat.S_ISREG(facts.st_mode):
        return "is not a regular file"
    if facts.st_size > MOST_BYTES:
        return "is too large to show"
    if os.geteuid() != 0 or owner == 0 or facts.st_uid == owner:
        return ""
    if not facts.st_mode & stat.S_IROTH or not _searchable(_real(number, path)):
        return "is not shown to root: the program's owner may not be allowed to read it"
    return ""


def _searchable(path: str) -> bool:
    """Whether everybody may traverse the folders of a file."""
    return all(os.stat(folder).st_mode & stat.S_IXOTH for folder in PurePosixPath(path).parents)  # noqa: PTH116


def _real(number: int, path: str) -> str:
    """The path of an open file with links resolved."""
    try:
        return os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115
    except OSError:
        return os.path.realpath(path)


def _read(number: int, size: int) -> bytes:
    """Reads at most the size at opening, since the file may grow."""
    data = b""
    while len(data) < size:
        piece = os.read(number, size - len(data))
        if not piece:
            break
        data += piece
    return data
