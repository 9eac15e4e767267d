"""Finds probes by the announcement files in a user's runtime directories."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probes.base import protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST = 64 << 10
"""Bytes of the largest announcement that is read."""

SLACK = 2.0
"""Seconds by which two readings of a process's start time may differ: the clock may have been set."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """An announced probe and its address."""

    pid: int
    started: float  # of the process, Unix time
    name: str
    session: str
    program: str
    python: str
    socket: str
    listen: str | None
    token_file: str | None


@dataclass(slots=True)
class FoundProbes:
    """The probes of one user, and problems met while searching."""

    probes: list[Announcement] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def of_pid(self, pid: int) -> Announcement | None:
        """The probe of the process with this pid."""
        return next((probe for probe in self.probes if probe.pid == pid), None)

    def of_name(self, name: str) -> list[Announcement]:
        """The probes with this name."""
        return [probe for probe in self.probes if probe.name == name]


def probes(environ: Mapping[str, str] | None = None, uid: int | None = None) -> FoundProbes:
    """The live probes of a user (default: this one). Stale files are removed if they are our own."""
    mine = os.geteuid()
    if environ is None:
        environ = os.environ if uid in (None, mine) else {}
    owner = mine if uid is None else uid
    found = FoundProbes()
    seen = set()
    for directory in protocol.runtime_dirs(environ, owner):
        for file in _files(Path(directory), owner, found.problems):
            announced = _read(file, owner)
            if announced is None or announced.session in seen:
                continue
            if process_started(announced.pid, announced.started):
                seen.add(announced.session)
                found.probes.append(announced)
            elif owner == mine:  # root does not write where another user may have placed a link
                _tidy(file)
    found.probes.sort(key=lambda probe: probe.pid)
    return found


def probe_of(pid: int, environ: Mapping[str, str] | None = None, uid: int | None = None) -> Announcement | None:
    """The live probe of one process. Reads only its announcement: there may be hundreds of others."""
    owner = os.geteuid() if uid is None else uid
    if environ is None:
        environ = os.environ if owner == os.geteuid() else {}
    for directory in protocol.runtime_dirs(environ, owner):
        if _trusted(Path(directory), owner, []):
            announced = _read(Path(directory) / f"{pid}.json", owner)
            if announced is not None and process_started(pid, announced.started):
                return announced
    return None


def process_started(pid: int, started: float) -> bool:
    """Whether the process with this pid started at that time (0.0: its probe could not find out)."""
    import psutil  # type: ignore[import-untyped]

    try:
        process = psutil.Process(pid)
        return started == 0.0 or bool(abs(process.create_time() - started) <= SLACK)
    except psutil.AccessDenied:
        return True
    except psutil.Error:
        return False


def own_directory() -> Path | None:
    """The runtime directory of this user, made if there is none; None if that is impossible."""
    for name in protocol.runtime_dirs(os.environ, os.geteuid()):
        directory = Path(name)
        with suppress(OSError):
            directory.mkdir(mode=0o700, exist_ok=True)
        if _trusted(directory, os.geteuid(), []):
            return directory
    return None


def _files(directory: Path, owner: int, problems: list[str]) -> list[Path]:
    """The announcements in a directory that only its owner can write to."""
    if not _trusted(directory, owner, problems):
        return []
    try:
        return sorted(path for path in directory.iterdir() if re.fullmatch(r"\d+\.json", path.name))
    except OSError as error:
        problems.append(f"{directory} cannot be read: {error.strerror}")
    return []


def _trusted(directory: Path, owner: int, problems: list[str]) -> bool:
    """Whether a directory is there and only its owner can write to it; if not the latter, `problems` says so."""
    try:
        facts = directory.lstat()
    except OSError:
        return False
    if not stat.S_ISDIR(facts.st_mode):
        problems.append(f"{directory} is not a directory")
    elif facts.st_uid != owner:
        problems.append(f"{directory} belongs to {user_name(facts.st_uid)} and is not trusted")
    elif facts.st_mode & 0o077:
        problems.append(f"{directory} is open to others and is not trusted: chmod 700 {directory}")
    else:
        return True
    return False


def _read(path: Path, owner: int) -> Announcement | None:
    """Parse an announcement; None if it is incomplete or belongs to somebody else."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode) or facts.st_uid != owner or facts.st_size > LARGEST:
                return None
            content = file.read(LARGEST)
        fields = json.loads(content)
    except (OSError, ValueError, RecursionError):
        return None
    foreign = owner != os.geteuid()  # do not open the paths it names
    try:
        announced = Announcement(
            pid=_typed(fields, "pid", int),
            started=float(_typed(fields, "started", (int, float))),
            name=_typed(fields, "name", str, ""),
            session=_typed(fields, "session", str),
            program=_typed(fields, "program", str, ""),
            python=_typed(fields, "python", str, ""),
            socket=str(path.with_suffix(".sock")) if foreign else _typed(fields, "socket", str),
            listen=_typed(fields, "listen", (str, type(None)), None),
            token_file=None if foreign else _typed(fields, "token_file", (str, type(None)), None),
        )
    except (TypeError, KeyError, OverflowError):
        return None
    return announced if str(announced.pid) == path.stem else None


def _typed(facts: Any, key: str, kind: type | tuple[type, ...], *default: Any) -> Any:
    """A value of an announcement. Raises TypeError for one of another type, KeyError for a missing one."""
    value = facts.get(key, *default) if default and isinstance(facts, dict) else facts[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(key)
    return value


def _tidy(path: Path) -> None:
    """Remove the files of a process that ended without cleanup, unless they still serve one (in a container)."""
    served = path.with_suffix(".sock")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0.2)
        try:
            probe.connect(str(served))
        except (ConnectionRefusedError, FileNotFoundError):
            pass
        except OSError:
            return
        else:
            return
    for leftover in (path, served, path.with_suffix(".token")):
        try:
            leftover.unlink()
        except OSError:  # somebody else was faster, or we may not remove it
            continue


def user_name(uid: int) -> str:
    """The name of a user, or the numeric id if there is none."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
