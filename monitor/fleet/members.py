"""The processes of a set of TARGETs, each in a slot that stays while its process is replaced."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a set: the slot it is in, and the TARGET that leads to it alone."""

    worker: int
    target: str
    pid: int | None  # None: on another machine, or in a namespace of its own


class Members:
    """Keeps slots: a process that has gone leaves its slot to the next one of the same TARGET."""

    def __init__(self, targets: Sequence[str], expand: Callable[[str], Sequence[str]] | None = None) -> None:
        """`expand` names the processes that a TARGET means now, each as a TARGET of its own."""
        self._targets = tuple(targets)
        self._expand = processes_of if expand is None else expand
        self._slots: dict[int, tuple[str, str]] = {}  # slot -> TARGET as given, TARGET of the process
        self._free: dict[str, list[int]] = {}  # slots of processes that have gone, by the TARGET as given

    def look(self) -> list[Member]:
        """The members now, by slot. Reads /proc and the runtime directory; connects to nothing."""
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


def processes_of(target: str) -> list[str]:
    """The processes that a TARGET means: the workers of a parent, all of a shared name, or the TARGET itself.

    Workers are in the order in which they were started.
    """
    if target.isascii() and target.isdigit():
        from monitor.attach.programs import workers

        found = workers(int(target))
        if found and not _has_probe(int(target)):
            ordered = sorted(found, key=lambda program: (program.started or 0.0, program.pid))
            return [str(program.pid) for program in ordered]
        return [target] if _alive(int(target)) else []
    if target.startswith("@"):
        from monitor.attach.find import probes
        from monitor.transport import fd_passing

        announced = probes().of_name(target[1:])
        pids = {probe.pid: probe.started for probe in announced}
        for door in fd_passing.everywhere() if fd_passing.possible() else ():
            if door.name == target[1:]:
                pids.setdefault(door.pid, 0.0)
        return [str(pid) for pid in sorted(pids, key=lambda pid: (pids[pid], pid))]
    return [target]


def _has_probe(pid: int) -> bool:
    from monitor.attach.find import probes

    return probes().of_pid(pid) is not None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
