"""What the system and the interpreter say of this process. None: that cannot be had here."""

from __future__ import annotations

import os
import sys


def python() -> str:
    """Three numbers with points between them."""
    return ".".join(str(part) for part in sys.version_info[:3])


def working_directory() -> str:
    """Empty when it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def resident() -> int | None:
    """Bytes of memory that are in use."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def cpu_time() -> float:
    """Seconds that all threads took, in the program and in the system."""
    times = os.times()
    return times.user + times.system


def threads() -> int | None:
    """How many there are."""
    return _count("/proc/self/task")


def descriptors() -> int | None:
    """How many are open, the one that this look takes included."""
    return _count("/proc/self/fd")


def _count(directory: str) -> int | None:
    try:
        return len(os.listdir(directory))
    except OSError:
        return None
