"""Which processes a TARGET means: itself, the workers of a parent, all of a shared name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.attach.worker_processes import WorkerProcesses


class Processes:
    """Expands a TARGET to the processes it means now. Called every second, so it caches what it has read of each."""

    def __init__(self) -> None:
        self._workers: dict[int, WorkerProcesses] = {}
        self._parents: set[int] = set()

    def of(self, target: str) -> list[str]:
        """Return the workers of a parent, all processes of a shared name, or the TARGET itself, oldest first.

        A process that has an event loop means itself, unless its child processes serve its sockets.
        """
        if target.isascii() and target.isdigit():
            return self._of_pid(int(target))
        if target.startswith("@"):
            return self._of_name(target[1:])
        return [target]

    def _of_name(self, name: str) -> list[str]:
        pids = named(name)
        return self._of_pid(pids[0]) if len(pids) == 1 else [str(pid) for pid in pids]

    def _of_pid(self, pid: int) -> list[str]:
        from monitor.attach.worker_processes import WorkerProcesses, children

        if pid in self._parents or children(pid):
            found = self._workers.setdefault(pid, WorkerProcesses()).of(pid)
            if found:
                self._parents.add(pid)
            if pid in self._parents:  # one without workers for a moment is still a parent
                return [str(worker) for worker in found]
        return [str(pid)] if _alive(pid) else []


def stat_of(pid: int | str) -> list[str]:
    """The fields of /proc/PID/stat, from the state on (proc_pid_stat(5)). Raises OSError."""
    return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()


def image_of(pid: int) -> tuple[str, str] | None:
    """What changes when a process executes another program under the same pid; None if that cannot be read.

    Where its code and its stack begin: the kernel chooses the latter anew.
    """
    try:
        fields = stat_of(pid)
        code, stack = fields[23], fields[25]
    except (OSError, IndexError):
        return None
    return None if stack == "0" else (code, stack)


def named(name: str) -> list[int]:
    """The processes whose probes have this name, oldest first; of several those with an event loop."""
    from monitor.attach.worker_processes import has_loop

    pids = with_name(name)
    if len(pids) > 1:  # a parent that was started with a probe has the name, too
        pids = [pid for pid in pids if has_loop(pid) is not False] or pids
    return pids


def with_name(name: str) -> list[int]:
    """All processes whose probes have this name, oldest first."""
    from monitor.attach.find import probes
    from monitor.transport import fd_passing

    pids = {probe.pid: probe.started for probe in probes().of_name(name)}
    for endpoint in fd_passing.everywhere() if fd_passing.possible() else ():
        if endpoint.name == name:
            pids.setdefault(endpoint.pid, 0.0)
    return sorted(pids, key=lambda pid: (pids[pid], pid))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
