"""How a program can be watched, or why not and what to do about it. Only reads /proc."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.attach.find import user_name
from monitor.attach.inject.interpreter import FIRST, for_reading
from monitor.attach.inject.target import OLDEST, look
from monitor.errors import ConnectError

if TYPE_CHECKING:
    from monitor.attach.memory_maps import Mapped

PROBE, ATTACH, READ_ONLY = "probe", "attach", "read-only"


@dataclass(frozen=True, slots=True)
class Access:
    """`how` is one of the three ways, or None; `reason` is why no better way is possible."""

    how: str | None
    reason: str | None
    todo: str  # the next step; may be empty
    python: str | None = None


def is_own(uid: int) -> bool:
    """Whether we may inspect processes of that user."""
    return os.geteuid() in (0, uid)


def denied(uid: int) -> Access:
    """Access to a process of another user."""
    owner = user_name(uid)
    return Access(None, f"belongs to {owner}", as_whom(uid))


def as_whom(uid: int) -> str:
    """Which user may inspect the processes of `uid`."""
    return f"run looptop as {user_name(uid)} or as root" if uid else "run looptop as root"


def access(pid: int, uid: int, mapped: Mapped) -> Access:
    """How a process without a probe can be watched."""
    if not is_own(uid):
        return denied(uid)
    if mapped.asyncio is False:
        return Access(None, "no asyncio loaded", "", mapped.python)
    minor = minor_of(mapped.python)
    if minor is not None and minor < OLDEST[1]:
        return Access(None, f"Python {mapped.python} is too old", f"{OLDEST[0]}.{OLDEST[1]} is needed", mapped.python)
    if sys.platform != "linux":
        return Access(None, f"cannot get into a running program on {sys.platform}", "looptop run SCRIPT")
    try:
        target = look(pid)
    except ConnectError as error:
        refused = Access(None, error.message.replace(f"PID {pid} ", "", 1), error.hint, mapped.python)
    else:
        target.memory.close()
        if not target.remote_off:
            return Access(ATTACH, None, f"looptop attach {pid}", target.python)
        reason = f"remote debugging is disabled ({target.remote_off})"
        refused = Access(None, reason, f"looptop attach {pid} --force", target.python)
    if minor is not None and why_not_read(pid, uid, minor) is None:
        return Access(READ_ONLY, refused.reason, f"looptop attach {pid} --read-only", refused.python)
    return refused


def why_not_read(pid: int, uid: int, minor: int) -> str | None:
    """Why the tasks of a process cannot be read from outside; None if they can."""
    if minor < FIRST:
        return f"Python 3.{minor} cannot be read from outside (3.{FIRST} can)"
    if not _same_files(pid):
        return "it is in another mount namespace"
    try:
        os.close(os.open(f"/proc/{pid}/mem", os.O_RDONLY))
    except OSError as error:
        return f"its memory cannot be read ({error.strerror})"
    if for_reading(pid, uid, minor) is None:
        return f"no Python 3.{minor} on PATH to read it with"
    return None


def minor_of(python: str | None) -> int | None:
    """The minor version, 12 for 3.12.1."""
    return int(python.split(".")[1]) if python else None


def _same_files(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/ns/mnt").readlink() == Path("/proc/self/ns/mnt").readlink()
    except OSError:
        return False
