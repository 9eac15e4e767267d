"""Picks the Python that reads the memory of another one or compiles for it: same version, and safe for us to run.

The executable of a process is chosen by its owner. Root must not run it, nor any user but the owner.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys

FIRST = 14
"""The first minor version that can read another interpreter."""

_NAME = re.compile(r"^python\d*(?:\.\d+)?[a-z]{0,2}$")


def for_reading(pid: int, owner: int, minor: int) -> str | None:
    """An interpreter of that minor version: ours, the target's own, or one on PATH. None if there is none.

    The caller has to check that it works.
    """
    if minor < FIRST:
        return None
    if sys.version_info[:2] == (3, minor):
        return sys.executable
    return _its_own(pid, owner) or shutil.which(f"python3.{minor}")


def for_compiling(pid: int) -> str | None:
    """The target's own interpreter; None if ours has its version, or we may not run it."""
    try:
        path = _its_own(pid, os.stat(f"/proc/{pid}").st_uid)  # noqa: PTH116 - as below
    except OSError:
        return None
    ours = "python{}.{}".format(*sys.version_info)
    return None if path is None or os.path.basename(path).startswith(ours) else path  # noqa: PTH119 - a string


def _its_own(pid: int, owner: int) -> str | None:
    """The executable of the process, if it is an interpreter in our file system that nobody else can write."""
    mine = os.geteuid()
    if owner != mine:
        return None
    try:
        path = os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115 - compared below with its target
        facts, theirs = os.stat(path), os.stat(f"/proc/{pid}/exe")  # noqa: PTH116 - as above
    except OSError:
        return None
    same = (facts.st_dev, facts.st_ino) == (theirs.st_dev, theirs.st_ino)
    trusted = facts.st_uid in (0, mine) and not facts.st_mode & stat.S_IWOTH
    return path if same and trusted and _NAME.match(os.path.basename(path)) else None  # noqa: PTH119 - a string
