"""How viewers find a probe: a private runtime directory with a socket and a JSON file that describes the process."""

from __future__ import annotations

import json
import os
import stat
import sys
from contextlib import suppress
from typing import Any

from ..base import protocol, sites

MOST_PATH = 100
"""Most bytes of the path of a Unix socket (sun_path is 108 on Linux, 104 elsewhere)."""


class NoDirectoryError(OSError):
    """No runtime directory can be created or trusted."""


def runtime_dir() -> str:
    """The private runtime directory (mode 0700, own user), created if missing. Raises NoDirectoryError."""
    reasons = []
    for path in protocol.runtime_dirs(os.environ, os.getuid()):
        try:
            _make_private(path)
        except OSError as error:
            reasons.append(f"{path}: {error.strerror or error}")
        else:
            return path
    raise NoDirectoryError("; ".join(reasons))


def _make_private(path: str) -> None:
    """Creates the directory, or checks the existing one, whose mode is not changed."""
    if len(path) > MOST_PATH - 20:
        raise OSError("the path is too long for a socket")
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)
    found = os.lstat(path)
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise OSError("not a directory of this user")
    if found.st_mode & 0o077:
        raise OSError("it is open to others; only a directory of mode 0700 is used")
    if not os.access(path, os.W_OK | os.X_OK):
        raise OSError("not writable")


def write_private(path: str, text: str) -> None:
    """Writes a file of mode 0600 atomically: a reader sees all of it or nothing."""
    partial = f"{path}.{os.urandom(4).hex()}"
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, text.encode("utf-8", "replace"))
    finally:
        os.close(handle)
    os.replace(partial, path)


def read_private(path: str, most: int = 4096) -> str:
    """The text of a file that only its owner (this user or root) can read. Raises ValueError for any other; OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{path} is not a regular file")
        if found.st_uid not in (os.getuid(), 0):
            raise ValueError(f"{path} belongs to another user")
        if found.st_mode & 0o077:
            raise ValueError(f"others may read {path}: chmod 600 {path}")
        return os.read(handle, most).decode("utf-8", "replace")
    finally:
        os.close(handle)


def describe(path: str, facts: dict[str, Any]) -> None:
    """Writes the JSON file that describes the process for viewers."""
    write_private(path, json.dumps(facts) + "\n")


def remove(*paths: str) -> None:
    """Removes files; missing ones are fine."""
    for path in paths:
        try:
            os.unlink(path)
        except OSError:
            continue


def program() -> tuple[str, str]:
    """The name of the program and its command line, without the interpreter and its options."""
    arguments = list(getattr(sys, "orig_argv", None) or sys.argv)[1:]
    index = 0
    while index < len(arguments) and arguments[index].startswith("-") and arguments[index] not in ("-m", "-c", "-"):
        index += 2 if arguments[index] in ("-X", "-W") else 1
    rest = arguments[index:]
    if not rest:
        return "python", "python"
    if rest[0] == "-m" and len(rest) > 1:
        return rest[1], " ".join(rest)
    if rest[0] == "-c":
        rest = [str(argument) for argument in sys.argv] or rest  # a multiprocessing child has its parent's arguments
        if rest[0] == "-c":
            launched = sites.was_launched(arguments)  # and has not got those arguments yet
            return ("multiprocessing", "child of multiprocessing") if launched else ("-c", "-c …")
    name = os.path.basename(rest[0]).removesuffix(".py")
    if name == "__main__":  # of a package, in a child of what was started by `-m`
        name = os.path.basename(os.path.dirname(os.path.abspath(rest[0]))) or name
    return name, " ".join(rest)
