"""Which Python may read the memory of another, or compile for it: of its version, and one that we may well run.

The interpreter of a process is a file that its owner chose. Root must not run it, nor anybody else but the owner.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys

FIRST = 14
"""The minor version from which on Python can read another one."""

_NAME = re.compile(r"^python\d*(?:\.\d+)?[a-z]{0,2}$")


def for_reading(pid: int, owner: int, minor: int) -> str | None:
    """An interpreter of that minor version: ours, the process's own, one on PATH. None when there is none.

    Whoever gets one has still to see that it works.
    """
    if minor < FIRST:
        return None
    if sys.version_info[:2] == (3, minor):
        return sys.executable
    return _its_own(pid, owner) or shutil.which(f"python3.{minor}")


def for_compiling(pid: int) -> str | None:
    """The process's own interpreter; None where ours is of its version, or it is not to be run."""
    try:
        path = _its_own(pid, os.stat(f"/proc/{pid}").st_uid)  # noqa: PTH116 - as below
    except OSError:
        return None
    ours = "python{}.{}".format(*sys.version_info)
    return None if path is None or os.path.basename(path).startswith(ours) else path  # noqa: PTH119 - a string


def _its_own(pid: int, owner: int) -> str | None:
    """The file that the process runs, if that is an interpreter in our file system that nobody else can write."""
    mine = os.geteuid()
    if owner != mine:
        return None
    try:
        path = os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115 - compared below with what it leads to
        facts, theirs = os.stat(path), os.stat(f"/proc/{pid}/exe")  # noqa: PTH116 - as the line before
    except OSError:
        return None
    same = (facts.st_dev, facts.st_ino) == (theirs.st_dev, theirs.st_ino)
    trusted = facts.st_uid in (0, mine) and not facts.st_mode & stat.S_IWOTH
    return path if same and trusted and _NAME.match(os.path.basename(path)) else None  # noqa: PTH119 - a string
