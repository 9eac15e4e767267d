"""The worker processes of a server: its descendants with an event loop. Cheap enough to call often."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from monitor.attach.processes import stat_of

_POLL = "anon_inode:[eventpoll]"
_INODE = re.compile(r"^tfd:.* ino:([0-9a-f]+)", re.M)
_INTERPRETER = re.compile(r"(?:^|/)(?:python|pypy)[^/]*$")
_SPAWNED = re.compile(r"-c (?:import sys; )?from multiprocessing\.|--multiprocessing-fork")
_FORK_SERVER = "from multiprocessing.forkserver import main"
_NUMBER = re.compile(r"\d+")
_YOUNG = 10.0
"""Seconds for which a new process may still load asyncio or execute a program: it is inspected every time."""
_EVERY = 5.0
"""Seconds between two inspections of an older process, and of a worker."""
_PROC = Path("/proc/self/stat").exists()


def loops(pid: int) -> set[frozenset[int]] | None:
    """For each event loop of a process (asyncio's and uvloop's have an epoll descriptor) the inodes that it waits for.

    None if that cannot be seen.
    """
    folder = f"/proc/{pid}/fd"
    found: set[frozenset[int]] = set()
    try:
        for number in os.listdir(folder):  # noqa: PTH208 - there may be thousands
            if _link(f"{folder}/{number}") == _POLL:
                text = Path(f"/proc/{pid}/fdinfo/{number}").read_text("ascii")
                found.add(frozenset(int(inode, 16) for inode in _INODE.findall(text)))
    except OSError:
        return None
    return found


def has_loop(pid: int, parent: int | None = None) -> bool | None:
    """Whether a process has its own event loop, not one inherited by a fork from `parent`. None if not visible."""
    return _loop_of_its_own(pid, set() if parent is None else loops(parent) or set())


def _loop_of_its_own(pid: int, inherited: set[frozenset[int]]) -> bool | None:
    found = loops(pid)
    if not found:
        return None if found is None else False
    return bool(found - inherited)


def serves_for(worker: int, parent: int) -> bool:
    """Whether a loop of `worker` waits for a socket that `parent` keeps open and leaves to it.

    So has gunicorn an event loop in its parent, too, which serves something else.
    """
    watched = set().union(*(loops(worker) or ())) - set().union(*(loops(parent) or ()))
    folder = f"/proc/{parent}/fd"
    try:
        held = {_link(f"{folder}/{number}") for number in os.listdir(folder)}  # noqa: PTH208 - likewise
    except OSError:
        return False
    return any(f"socket:[{inode}]" in held for inode in watched)


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - thousands of them
    except FileNotFoundError:
        return ""


def children(pid: int) -> list[int]:
    """The child processes of all threads of a process, oldest first."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - only names are needed
        found = [Path(f"/proc/{pid}/task/{thread}/children").read_text("ascii") for thread in threads]
    except OSError:
        return _children_elsewhere(pid)
    return sorted(int(one) for part in found for one in part.split())


def _children_elsewhere(pid: int) -> list[int]:
    """The child processes, on kernels that do not list them."""
    try:
        return sorted(child.pid for child in psutil.Process(pid).children())
    except psutil.Error:
        return []


def _start(pid: int) -> float | None:
    """When a process was started (Unix time, roughly); None if it has ended, reaped or not."""
    if not _PROC:
        try:
            return float(psutil.Process(pid).create_time())
        except psutil.Error:
            return None
    try:
        fields = stat_of(pid)
        ticks = int(fields[19])
    except (OSError, IndexError, ValueError):
        return None
    return None if fields[0] in "ZX" else _BOOT + ticks / os.sysconf("SC_CLK_TCK")


_BOOT = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) if _PROC else 0.0


@dataclass(slots=True)
class _Known:
    started: float
    asyncio: bool
    looked: float
    counted: bool = False  # as a worker: it stays one, so that a server that starts does not lose them for a moment
    is_worker: float = 0.0  # when that was last seen
    program: tuple[str, str] | None = None  # of a worker: what it runs


def _program(pid: int, parents: dict[int, int]) -> tuple[str, str] | None:
    """What a process runs: its executable, and its command line without numbers. None if that cannot be seen.

    For a child of `multiprocessing`, and for one with a title of its own (gunicorn), what its parent runs.
    """
    try:
        while True:
            process = psutil.Process(pid)
            image, words = _link_of(process), process.cmdline()
            parent = parents.get(pid)
            titled = not words or not _INTERPRETER.search(words[0])
            if parent is None or not (titled or _SPAWNED.search(" ".join(words))):
                break
            if _link_of(psutil.Process(parent)) != image:
                break
            pid = parent
    except psutil.Error:
        return None
    return image, _NUMBER.sub("0", " ".join(words))


def _is_fork_server(pid: int, parent: int) -> bool:
    """Whether a process is the fork server of `multiprocessing`, whose selector looks like that of a loop.

    What it forks has its command line.
    """
    return _FORK_SERVER in _command_line(pid) and _FORK_SERVER not in _command_line(parent)


def _command_line(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""


def _link_of(process: psutil.Process) -> str:
    try:
        return str(process.exe())
    except psutil.AccessDenied:
        return ""


class WorkerProcesses:
    """Finds the workers of a process; remembers what it has seen of each, so that only new ones are read."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}
        self.unrelated = 0
        """How many processes with a loop were found last that are no workers, because they run different programs."""

    def of(self, pid: int) -> list[int]:
        """The pids of the workers below a process, in the order in which they were started.

        The topmost process with an event loop counts, not what it started itself (a process pool, say). If no loop
        can be seen, those count that have loaded asyncio and have no such process below them. A process that has a
        loop itself has no workers, unless it leaves its sockets to them.
        Different programs are no workers: those of a shell, of an init process or a supervisor.
        """
        found = self._below(pid)
        if found and loops(pid) and not any(serves_for(worker, pid) for worker in found):
            return []
        return found

    def _below(self, pid: int) -> list[int]:
        workers: list[int] = []
        loaded: list[int] = []
        seen: set[int] = set()
        inherited: dict[int, set[frozenset[int]]] = {}  # loops of parents
        parents: dict[int, int] = {}
        pending = [(child, pid) for child in reversed(children(pid))]
        while pending:
            child, parent = pending.pop()
            if child in seen or child == os.getpid():
                continue
            started = _start(child)
            if started is None:
                continue
            seen.add(child)
            parents[child] = parent
            if self._is_still_worker(child, started):
                workers.append(child)
                continue
            if parent not in inherited:
                inherited[parent] = loops(parent) or set()
            loop = _loop_of_its_own(child, inherited[parent])
            asyncio = self._has_asyncio(child, started, loop is True) and not _is_fork_server(child, parent)
            if asyncio and (loop is not False or self._known[child].counted):
                self._known[child].is_worker = time.time()
                workers.append(child)
                continue
            if asyncio:
                loaded.append(child)
            pending += [(one, child) for one in reversed(children(child))]
        self._known = {child: known for child, known in self._known.items() if child in seen}
        found = workers or [one for one in loaded if not any(other in loaded for other in children(one))]
        found = self._of_one_program(found, pid, parents)
        for one in found:
            self._known[one].counted = True
        return sorted(found, key=lambda child: (self._known[child].started, child))

    def _of_one_program(self, found: list[int], top: int, parents: dict[int, int]) -> list[int]:
        """Those that run the same program as the topmost process; else all, if they run the same one; else none.

        One that has been counted stays, also if it executes another program.
        """
        self.unrelated = 0
        new = [one for one in found if not self._known[one].counted]
        if not new:
            return found
        for one in new:
            self._known[one].program = _program(one, parents)
        programs = {self._known[one].program for one in found if one not in new} or {_program(top, {})}
        kept = [one for one in found if self._known[one].counted or self._known[one].program in programs]
        if not kept and len({self._known[one].program for one in found}) == 1:
            return found
        self.unrelated = 0 if kept else len(found)
        return kept

    def _is_still_worker(self, pid: int, started: float) -> bool:
        """Whether this process has been seen as a worker lately, so that nothing more of it need be read."""
        known = self._known.get(pid)
        counted = known is not None and known.counted and known.started == started
        return counted and known is not None and time.time() - known.is_worker < _EVERY

    def _has_asyncio(self, pid: int, started: float, loop: bool) -> bool:
        """Whether it is Python with asyncio loaded. What has no loop is read again: it may execute another."""
        now = time.time()
        known = self._known.get(pid)
        if known is None or known.started != started:
            known = self._known[pid] = _Known(started, False, 0.0)
        if not (known.asyncio and loop) and (now - started < _YOUNG or now - known.looked > _EVERY):
            known.looked = now
            from monitor.attach import programs  # most processes have no workers to inspect

            known.asyncio = programs.has_asyncio(pid)
        return known.asyncio
