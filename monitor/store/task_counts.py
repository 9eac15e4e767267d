"""Counts live tasks by state and by creation site as they change, since counting 100,000 each time is slow."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from probes.base import protocol

if TYPE_CHECKING:
    from monitor.store.model import Site, Task


class TaskCounts:
    """Updated with every task that appears, leaves or changes its state."""

    def __init__(self) -> None:
        self._states = [0] * len(protocol.STATES)
        # By identity, since hashing a site is slow. The site is kept in the entry, so its id is not reused.
        self._sites: dict[int, tuple[Site | None, list[int]]] = {}

    def came(self, task: Task) -> None:
        """Count a task that has appeared."""
        self._states[task.state] += 1
        known = self._sites.get(id(task.site))
        if known is None:
            self._sites[id(task.site)] = (task.site, [1])
        else:
            known[1][0] += 1

    def left(self, task: Task) -> None:
        """Stop counting a task that has gone."""
        self._states[task.state] -= 1
        number = self._sites[id(task.site)][1]
        number[0] -= 1
        if not number[0]:
            del self._sites[id(task.site)]

    def changed(self, before: int, state: int) -> None:
        """Count a change of state."""
        self._states[before] -= 1
        self._states[state] += 1

    def states(self) -> Counter[str]:
        """Return the number of live tasks by state."""
        return Counter({name: number for name, number in zip(protocol.STATES, self._states, strict=True) if number})

    def sites(self) -> Counter[Site | None]:
        """Return the number of live tasks by creation site."""
        counts: Counter[Site | None] = Counter()
        for site, (number,) in self._sites.values():
            counts[site] += number
        return counts

    def copy(self) -> TaskCounts:
        """Return an independent copy."""
        twin = TaskCounts()
        twin._states = list(self._states)
        twin._sites = {key: (site, list(number)) for key, (site, number) in self._sites.items()}
        return twin
