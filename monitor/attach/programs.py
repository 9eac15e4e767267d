"""The Python programs on this machine and how each can be watched. Read-only."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]

from monitor.attach.find import Announcement, FoundProbes, probe_of, probes
from monitor.attach.memory_maps import NOTHING_SEEN, Mapped, read_maps
from monitor.attach.ports import Ports
from monitor.attach.watchability import ATTACH, PROBE, READ_ONLY, Access, access, denied, is_own
from monitor.transport import fd_passing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PYTHON = re.compile(r"^(?:python|pypy)\d*(?:\.\d+)?[a-z]{0,2}$")
_PYTHON_ONLY = re.compile(r"(?:.*/)?(?:gunicorn|uvicorn|hypercorn|daphne|celery)\b")
"""Titles that only Python programs have, used where another user's executable is not readable."""

READER = "/monitor/attach/unwinder.py"
"""Marks the command line of looptop's own read-only reader process, which is never listed."""

_LOOPTOP = re.compile(r"(?:looptop|-m monitor)(?: |$)")
_HELPERS = ("monitor.attach.inject.helper", "looptop-relay")
_LOADER = re.compile(r"^ld-[\w.-]+\.so(?:\.\d+)?$")
_WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs", "--library-path", "--argv0", "--preload")
_RANK = {PROBE: 0, ATTACH: 1, READ_ONLY: 2, None: 3}


@dataclass(frozen=True, slots=True)
class Program:
    """A Python process. Facts that are not visible from outside are None."""

    pid: int
    parent: int | None  # the nearest ancestor in the list
    owner: str
    command: str
    started: float | None  # Unix time
    python: str | None
    asyncio: bool | None  # whether it is loaded
    loop: str | None  # asyncio or uvloop, whichever is loaded
    ports: tuple[str, ...] | None  # on which it listens
    name: str | None  # of its probe
    how: str | None  # probe, attach or read-only
    reason: str | None  # why no better way is possible
    todo: str  # the next step: how to watch it, or how to make that possible
    depth: int = 0  # in the tree of listed programs
    cpu: float | None = None  # share of one core since it started
    rss: int | None = None  # bytes
    armed: bool = False  # its probe was put in by pid, and stays with nobody connected

    @property
    def watchable(self) -> bool:
        """Whether there is any way to watch it."""
        return self.how is not None

    @property
    def title(self) -> str:
        """The command without interpreter, its options and script directories."""
        return short_command(self.command)

    @property
    def is_looptop(self) -> bool:
        """Whether this is a looptop process, such as a dashboard."""
        return _LOOPTOP.match(self.title) is not None or any(name in self.command for name in _HELPERS)


class _ProcessScan:
    """One scan of all processes: data that several programs share is read once."""

    def __init__(self) -> None:
        self.ports = Ports()
        self._found: dict[int, FoundProbes] = {}

    def probe(self, pid: int, uid: int) -> Announcement | fd_passing.Endpoint | None:
        """The announced or injected probe of a process, if we may connect to it."""
        owner = uid if os.geteuid() == 0 else os.geteuid()
        if owner not in self._found:
            self._found[owner] = probes(uid=owner)
        return self._found[owner].of_pid(pid) or (fd_passing.find(pid) if is_own(uid) else None)

    def program(self, process: psutil.Process) -> Program | None:
        """Facts about a process; None if it is gone or does not run Python."""
        try:
            with process.oneshot():
                return self._program(process)
        except psutil.Error:
            return None

    def _program(self, process: psutil.Process) -> Program | None:
        pid = process.pid
        if pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
            return None
        command = _command(process)
        if READER in command:
            return None
        uid = process.uids().effective
        announced = self.probe(pid, uid)
        python_name = is_python_name(process)
        if is_own(uid):
            mapped = read_maps(process)
        elif python_name or announced is not None:
            mapped = NOTHING_SEEN
        else:
            return None
        if announced is None and not python_name and mapped.python is None:
            return None
        way, loop, asyncio = self._way(pid, uid, mapped, announced), None, mapped.asyncio
        if announced is not None or asyncio:
            asyncio, loop = True, "uvloop" if mapped.uvloop else "asyncio"
        return Program(
            pid=pid,
            parent=process.ppid() or None,
            owner=process.username(),
            command=command,
            started=process.create_time(),
            python=way.python or mapped.python,
            asyncio=asyncio,
            loop=loop,
            ports=self.ports.of(process) if is_own(uid) else None,
            name=announced.name if announced is not None else None,
            how=way.how,
            reason=way.reason,
            todo=way.todo,
            cpu=_cpu(process),
            rss=process.memory_info().rss,
            armed=isinstance(announced, fd_passing.Endpoint) and announced.stays,
        )

    def _way(self, pid: int, uid: int, mapped: Mapped, announced: Announcement | fd_passing.Endpoint | None) -> Access:
        if announced is not None:
            return Access(PROBE, None, f"looptop attach {pid}", announced.python or None)
        return access(pid, uid, mapped) if is_own(uid) else denied(uid)


def programs(everything: bool = False) -> list[Program]:
    """The visible Python programs, each below its parent; trees with one that can be watched come first.

    Looptop's own processes are left out unless `everything` is set.
    """
    scan = _ProcessScan()
    parents: dict[int, int] = {}
    listed: list[Program] = []
    for process in psutil.process_iter():
        program = scan.program(process)
        if program is not None and (everything or not program.is_looptop):
            listed.append(program)
        try:
            parents[process.pid] = process.ppid()
        except psutil.Error:
            continue
    return as_tree(_adopted(listed, parents))


def _cpu(process: psutil.Process) -> float | None:
    times, age = process.cpu_times(), time.time() - process.create_time()
    return (times.user + times.system) / age if age > 0 else None


def workers(pid: int) -> list[Program]:
    """Descendant processes that have loaded asyncio: where a multi-process server runs its loops."""
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
    found = [inspect(child.pid) for child in children]
    return [program for program in found if program is not None and program.asyncio]


def workers_text(found: Sequence[Program]) -> str:
    """`2 child processes have loops`, to follow the name of their parent."""
    return "1 child process has a loop" if len(found) == 1 else f"{len(found)} child processes have loops"


def where_loops_are(pid: int) -> str:
    """For the dashboard of a process without a loop: which child processes have one; empty if none."""
    found = workers(pid)
    return f"No event loop in this process.\n{workers_text(found)}:\nlooptop attach {pid}" if found else ""


def mapped_by(pid: int) -> Mapped | None:
    """What the mapped files of a process reveal; None if it is gone or does not run Python. Cheaper than `inspect`."""
    try:
        process = psutil.Process(pid)
        mapped = read_maps(process)
        return mapped if mapped.python is not None or is_python_name(process) else None
    except psutil.Error:
        return None


def has_asyncio(pid: int) -> bool:
    """Whether a process is Python with asyncio loaded, or has a probe. Cheaper than `inspect`."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        owner = process.uids().effective
        if probe_of(pid, uid=owner) is not None:  # first: the kernel takes up to 1 ms to write the maps
            return True
        return is_own(owner) and bool(read_maps(process).asyncio or fd_passing.find(pid) is not None)
    except psutil.Error:
        return False


def inspect(pid: int) -> Program | None:
    """Facts about one process; None if it is gone or does not run Python."""
    try:
        return _ProcessScan().program(psutil.Process(pid))
    except psutil.Error:
        return None


def _adopted(listed: Iterable[Program], parents: dict[int, int]) -> list[Program]:
    """Map each listed process to its nearest listed ancestor, skipping shells and the like."""
    here = {program.pid: program for program in listed}
    adopted = []
    for program in here.values():
        parent = parents.get(program.pid)
        passed = {program.pid}
        while parent and parent not in here and parent not in passed:
            passed.add(parent)
            parent = parents.get(parent)
        adopted.append(replace(program, parent=parent if parent in here else None))
    return adopted


def as_tree(listed: Sequence[Program]) -> list[Program]:
    """Each program after its parent, with its depth; the best to watch first, then the oldest."""
    children: dict[int | None, list[Program]] = {}
    for program in listed:
        children.setdefault(program.parent, []).append(program)
    best: dict[int, int] = {}

    def rank(program: Program) -> int:
        below = [rank(child) for child in children.get(program.pid, ())]
        best[program.pid] = min([_RANK[program.how], *below])
        return best[program.pid]

    roots = children.get(None, [])
    for root in roots:
        rank(root)
    ordered: list[Program] = []
    pending = [(root, 0) for root in roots]
    pending.sort(key=lambda pair: (best[pair[0].pid], pair[0].pid), reverse=True)
    while pending:
        program, depth = pending.pop()
        ordered.append(replace(program, depth=depth))
        below = sorted(children.get(program.pid, ()), key=lambda child: (best[child.pid], child.pid), reverse=True)
        pending += [(child, depth + 1) for child in below]
    return ordered


def is_python_name(process: psutil.Process) -> bool:
    """Whether a process's executable is named like an interpreter, or its title is one only Python programs have."""
    try:
        executable = process.exe()
    except psutil.Error:
        executable = ""
    if executable:
        return _PYTHON.match(Path(executable).name) is not None
    first = _command(process).split(" ")[0]
    return _PYTHON.match(Path(first).name) is not None or _PYTHON_ONLY.match(first) is not None


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()).strip() or str(process.name())
    except psutil.AccessDenied:
        return str(process.name())


def short_command(command: str) -> str:
    """`gunicorn app:app` of `/srv/venv/bin/python -u /srv/venv/bin/gunicorn app:app`."""
    words = command.split(" ")
    name = words[0].rpartition("/")[2]
    if _LOADER.match(name):  # started through the dynamic loader: the interpreter follows the loader's options
        words = _without_options(words[1:])
        name = words[0].rpartition("/")[2] if words else ""
    if not _PYTHON.match(name):
        return command
    rest = _without_options(words[1:])
    if not rest:
        return name
    parts = rest[0].split("/")
    if len(parts) > 1 and parts[-2] == "bin":
        rest[0] = parts[-1]
    elif rest[0].startswith("/"):
        rest[0] = "/".join(parts[-2:])
    if rest[:3] == ["-c", "from", "multiprocessing.spawn"]:
        return "child of multiprocessing"
    if rest[:3] == ["-c", "from", "multiprocessing.resource_tracker"]:
        return "resource tracker of multiprocessing"
    if "multiprocessing.forkserver" in rest[1:6]:  # also what it forks, which has its command line
        return "forkserver of multiprocessing"
    return " ".join(rest)


def _without_options(words: list[str]) -> list[str]:
    """The words after the interpreter's options; -m and -c are kept, because they name what runs."""
    place = 0
    while place < len(words):
        word = words[place]
        if not word.startswith("-") or word in ("-m", "-c", "-"):
            break
        place += 2 if word in _WITH_VALUE else 1
    return words[place:]
