"""Finds the processes of a set of TARGETs, each in a slot that outlives its process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.attach.processes import with_name
from monitor.fleet.expansion import Expansion, members_now
from monitor.fleet.slots import Slots
from monitor.parsing import host_port
from monitor.remote import place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a set: its slot, and the TARGET that means this process alone."""

    worker: int
    target: str
    pid: int | None  # None: on another machine, or in a namespace of its own


class Members:
    """Assigns slots: a new process of a TARGET gets the slot of one that has gone."""

    def __init__(self, targets: Sequence[str], expand: Callable[[str], Sequence[str]] | None = None) -> None:
        """`expand` returns the processes that a TARGET means now, each as a TARGET of its own."""
        self._targets = tuple(targets)
        self._expansion = Expansion()
        self._expand = self._expansion.of if expand is None else expand
        self._slots: dict[int, tuple[str, str]] = {}  # slot → TARGET as given, TARGET of the process
        self._free: dict[str, list[int]] = {}  # slots of processes that have gone, by the TARGET as given
        self._noted = Slots(self._targets[0]) if expand is None and len(self._targets) == 1 else None

    @property
    def elsewhere(self) -> bool:
        """Whether some of the TARGETs are on other machines."""
        return any(place.split(target) is not None or host_port(target) is not None for target in self._targets)

    @property
    def is_set(self) -> bool:
        """Whether the TARGETs mean several programs: more than one, a shared name, the pid of a parent with workers.

        Raises LooptopError if the other side of a TARGET cannot be reached.
        """
        if len(self._targets) != 1:
            return True
        (target,) = self._targets
        there = place.split(target)
        alone = target if there is None else there[0]
        is_pid = alone.isascii() and alone.isdigit()
        if not is_pid and not alone.startswith("@"):
            return False
        found = self._expand(target) if there is None else members_now(target)
        if is_pid:
            return found not in ([], [target])
        # The name of a parent alone means its workers, also if there is only one.
        return len(found) > 1 or (there is None and [str(pid) for pid in with_name(alone[1:])] not in ([], list(found)))

    def status_of(self, member: Member) -> int | None:
        """The exit status of one on another machine that has gone, negative for a signal; None if unknown."""
        return self._expansion.status_of(member.target)

    def scan(self) -> list[Member]:
        """Return the current members by slot. Reads /proc and the runtime directory; connects to nothing."""
        found = {given: list(dict.fromkeys(self._expand(given))) for given in self._targets}
        there = {(given, one) for given, processes in found.items() for one in processes}
        changed = set(self._slots.values()) != there
        for slot, key in list(self._slots.items()):
            if key not in there:
                del self._slots[slot]
                self._free.setdefault(key[0], []).append(slot)
        if changed and self._noted is not None:
            self._take_noted(self._noted, there)
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
        if changed and self._noted is not None:
            by_process = {one: slot for slot, (_, one) in self._slots.items()}
            self._noted.note({one: by_process[one] for processes in found.values() for one in processes})
        return [Member(slot, one, _pid(one)) for slot, (_, one) in sorted(self._slots.items())]

    def _take_noted(self, noted: Slots, there: set[tuple[str, str]]) -> None:
        """Give new processes of the only TARGET the slots that another command has given them."""
        new = there - set(self._slots.values())
        (given,) = self._targets
        for one, slot in noted.remembered(sorted(one for _, one in there)).items():
            if (given, one) in new and slot not in self._slots:
                self._slots[slot] = (given, one)
        highest = max(self._slots, default=-1)
        self._free[given] = [slot for slot in range(highest) if slot not in self._slots]

    def _next(self) -> int:
        used = set(self._slots) | {slot for slots in self._free.values() for slot in slots}
        return max(used, default=-1) + 1


def _pid(target: str) -> int | None:
    return int(target) if target.isascii() and target.isdigit() else None
