"""Finds the processes of a set of TARGETs, each in a slot that outlives its process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.attach.worker_processes import WorkerProcesses


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a set: its slot, and the TARGET that means this process alone."""

    worker: int
    target: str
    pid: int | None  # None: on another machine, or in a namespace of its own


class Members:
    """Assigns slots: the next process of the same TARGET gets the slot of one that has gone."""

    def __init__(self, targets: Sequence[str], expand: Callable[[str], Sequence[str]] | None = None) -> None:
        """`expand` returns the processes that a TARGET means now, each as a TARGET of its own."""
        self._targets = tuple(targets)
        self._expand = Processes().of if expand is None else expand
        self._slots: dict[int, tuple[str, str]] = {}  # slot → TARGET as given, TARGET of the process
        self._free: dict[str, list[int]] = {}  # slots of processes that have gone, by the TARGET as given

    def look(self) -> list[Member]:
        """Return the current members by slot. Reads /proc and the runtime directory; connects to nothing."""
        found = {given: list(dict.fromkeys(self._expand(given))) for given in self._targets}
        there = {(given, one) for given, processes in found.items() for one in processes}
        for slot, key in list(self._slots.items()):
            if key not in there:
                del self._slots[slot]
                self._free.setdefault(key[0], []).append(slot)
        taken = set(self._slots.values())
        targets = {one for _, one in taken}
        for given, processes in found.items():
            for one in processes:
                if (given, one) in taken or one in targets:
                    continue
                free = sorted(self._free.get(given, ()))
                slot = free[0] if free else self._next()
                if free:
                    self._free[given].remove(slot)
                self._slots[slot] = (given, one)
                targets.add(one)
        return [Member(slot, one, _pid(one)) for slot, (_, one) in sorted(self._slots.items())]

    def _next(self) -> int:
        used = set(self._slots) | {slot for slots in self._free.values() for slot in slots}
        return max(used, default=-1) + 1


def _pid(target: str) -> int | None:
    return int(target) if target.isascii() and target.isdigit() else None


def is_set(targets: Sequence[str]) -> bool:
    """Whether TARGETs mean several programs: more than one, a shared name, or the pid of a parent with workers."""
    if len(targets) != 1:
        return True
    (target,) = targets
    if target.isascii() and target.isdigit():
        return Processes().of(target) not in ([], [target])
    return target.startswith("@") and len(Processes().of(target)) > 1


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
            return _of_name(target[1:])
        return [target]

    def _of_pid(self, pid: int) -> list[str]:
        from monitor.attach.worker_processes import WorkerProcesses, children

        if pid in self._parents or children(pid):
            found = self._workers.setdefault(pid, WorkerProcesses()).of(pid)
            if found:
                self._parents.add(pid)
            if pid in self._parents:  # one without workers for a moment is still a parent
                return [str(worker) for worker in found]
        return [str(pid)] if _alive(pid) else []


def _of_name(name: str) -> list[str]:
    from monitor.attach.find import probes
    from monitor.attach.worker_processes import has_loop
    from monitor.transport import fd_passing

    pids = {probe.pid: probe.started for probe in probes().of_name(name)}
    for endpoint in fd_passing.everywhere() if fd_passing.possible() else ():
        if endpoint.name == name:
            pids.setdefault(endpoint.pid, 0.0)
    if len(pids) > 1:  # a parent that was started with a probe has the name, too
        with_loop = {pid: started for pid, started in pids.items() if has_loop(pid) is not False}
        pids = with_loop or pids
    return [str(pid) for pid in sorted(pids, key=lambda pid: (pids[pid], pid))]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
