"""The Python programs on this machine: what they are, and whether they can be watched. Reads, never runs anything."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]

from monitor.attach.find import Announcement, Found, probes

if TYPE_CHECKING:
    from collections.abc import Iterator

_PYTHON = re.compile(r"^(?:python|pypy)\d*(?:\.\d+)?[a-z]{0,2}$")
_LIBRARY = re.compile(r"/libpython(3\.\d+)[a-z]*\.(?:so|dylib)")
_EXTENSION = re.compile(r"\.cpython-3(\d+)[a-z]*-[^/]*\.so$")
_VERSIONED = re.compile(r"/python(3\.\d+)[a-z]*$")
OLDEST = (3, 11)
_FULL = re.compile(r"/(?:versions|cpython-|python-)/?(3\.\d+\.\d+(?:[ab]\d+|rc\d+)?)[^/]*/")


@dataclass(frozen=True, slots=True)
class Program:
    """A process that runs Python. What cannot be told from outside is None."""

    pid: int
    owner: str
    command: str
    python: str | None
    asyncio: bool | None
    uvloop: bool | None
    name: str | None  # of its probe
    watchable: bool
    reason: str | None  # why it can not be watched
    todo: str  # the next step: how to watch it, or how to come to that


@dataclass(frozen=True, slots=True)
class Mapped:
    """What the files tell that a process has in memory."""

    python: str | None
    asyncio: bool | None
    uvloop: bool


def programs() -> list[Program]:
    """The Python programs that one may see: those that can be watched first, those without asyncio last."""
    found = probes()
    listed = [program for process in psutil.process_iter() if (program := _look(process, found)) is not None]
    listed.sort(
        key=lambda program: (not program.watchable, program.name is None, program.asyncio is not True, program.pid)
    )
    return listed


def look(pid: int) -> Program | None:
    """What is known of one process; None for one that is gone or no Python."""
    try:
        return _look(psutil.Process(pid), probes())
    except psutil.Error:
        return None


def _look(process: psutil.Process, found: Found) -> Program | None:
    pid = process.pid
    if pid == os.getpid():
        return None
    announced = found.of_pid(pid)
    try:
        uid = process.uids().effective
        owner = process.username()
        command = _command(process)
        python_name = is_python_name(process)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
    except psutil.Error:
        return None
    if announced is None and not mine(uid):
        if not python_name:
            return None
        todo = f"run looptop as {owner} or as root"
        return Program(pid, owner, command, None, None, None, None, False, f"belongs to {owner}", todo)
    mapped = read_maps(process)
    if announced is None and not python_name and mapped.python is None:
        return None
    return _ours(pid, owner, command, mapped, announced)


def _ours(pid: int, owner: str, command: str, mapped: Mapped, announced: Announcement | None) -> Program:
    if announced is not None:
        python = announced.python or mapped.python
        todo = f"looptop attach {pid}"
        return Program(pid, owner, command, python, True, mapped.uvloop, announced.name, True, None, todo)
    reason, todo = _way_in(mapped)
    watchable = reason is None
    return Program(
        pid, owner, command, mapped.python, mapped.asyncio, mapped.uvloop, None, watchable, reason, todo.format(pid)
    )


def _way_in(mapped: Mapped) -> tuple[str | None, str]:
    """Why a program without a probe can not be entered (None: it can), and what to do."""
    if mapped.asyncio is False:
        return "no asyncio loaded", ""
    minor = int(mapped.python.split(".")[1]) if mapped.python else None
    if minor is not None and minor < OLDEST[1]:
        return f"Python {mapped.python} is too old", f"{OLDEST[0]}.{OLDEST[1]} is needed"
    if (os.uname().sysname, os.uname().machine) != ("Linux", "x86_64") and (minor is None or minor < 14):
        return "no probe, and no way in on this machine", "looptop run SCRIPT"
    return None, "looptop attach {}"


def mine(uid: int) -> bool:
    """Whether a process of that user may be looked into."""
    return os.geteuid() in (0, uid)


def is_python_name(process: psutil.Process) -> bool:
    """Whether the file that a process runs is called like an interpreter."""
    try:
        executable = process.exe()
    except psutil.Error:
        executable = ""
    return _PYTHON.match(Path(executable or process.name()).name) is not None


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()) or str(process.name())
    except psutil.AccessDenied:
        return str(process.name())


def read_maps(process: psutil.Process) -> Mapped:
    """What a process has mapped, without a word to it."""
    return judge_maps(_mapped_files(process))


def judge_maps(files: set[str]) -> Mapped:
    """The version of Python, and whether asyncio and uvloop are loaded, by the names of mapped files."""
    minor = full = None
    asyncio: bool | None = False
    uvloop = False
    core: str | None = None
    for file in files:
        name = file.rpartition("/")[2]
        if (library := _LIBRARY.search(file)) or (library := _VERSIONED.search(file)):
            minor, core = library[1], file
            if version := _FULL.search(file):
                full = version[1]
        elif minor is None and (extension := _EXTENSION.search(file)):
            minor = f"3.{extension[1]}"
        if name.startswith("_asyncio."):
            asyncio = True
        elif "/uvloop/" in file:
            uvloop = True
    if not asyncio and core is not None and not uvloop and _asyncio_is_built_in(core, minor):
        asyncio = None
    if full is not None and minor is not None and not full.startswith(minor + "."):
        full = None
    return Mapped(full or minor, True if uvloop else asyncio, uvloop)


def _asyncio_is_built_in(core: str, minor: str | None) -> bool:
    """Whether that Python has no module file of asyncio that could be seen mapped."""
    prefix = Path(core).parent.parent
    folders = [prefix / f"lib/python{minor}/lib-dynload", Path(f"/usr/lib/python{minor}/lib-dynload")]
    return not any(_has_asyncio(folder) for folder in folders)


def _has_asyncio(folder: Path) -> bool:
    try:
        return any(path.name.startswith("_asyncio.") for path in folder.iterdir())
    except OSError:
        return False


def _mapped_files(process: psutil.Process) -> set[str]:
    files = set(_lines_of_maps(process.pid))
    try:
        if not files:
            files = {region.path for region in process.memory_maps()}
        files.add(process.exe())
    except (psutil.Error, AttributeError, NotImplementedError):
        pass
    return files


def _lines_of_maps(pid: int) -> Iterator[str]:
    try:
        with Path(f"/proc/{pid}/maps").open(encoding="utf-8", errors="replace") as maps:
            for line in maps:
                slash = line.find("/")
                if slash > 0:
                    yield line[slash:].rstrip("\n").removesuffix(" (deleted)")
    except OSError:
        return
