"""What one viewer has not been sent yet of the samples for flame graphs. Sums, so that a slow viewer loses nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..flame.on_loop import Drained, Key
    from .subscription import Watch

MOST_STACKS = 5000
"""Stacks that wait to be sent; samples of more are counted as lost."""
MOST_ROWS = 2000
MOST_SITES = 60_000
"""In the rows of one tick, which must not grow beyond protocol.MAX_FRAME."""


class FlameRows:
    """Sums by stack since the last tick."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._loop: dict[Key, list[int]] = {}
        self._jobs: dict[Key, list[int]] = {}
        self._wait: dict[Key, list[int]] = {}
        self._idle = self._samples = self._lost = self._late = 0

    def take(self, drained: Drained | None, waits: Mapping[Key, tuple[int, int]], late: int) -> None:
        """Adds samples of what loops ran, and time that tasks have waited: microseconds, and tasks there now."""
        if drained is not None and self._watch.flame:
            self._add_samples(drained)
        if self._watch.flame_wait:
            self._add_waits(waits, late)

    def _add_samples(self, drained: Drained) -> None:
        self._idle += drained.idle
        self._samples += drained.looks
        self._lost += drained.lost
        for table, rows in ((self._loop, drained.rows), (self._jobs, drained.jobs if self._watch.flame_jobs else {})):
            for key, (microseconds, samples) in rows.items():
                self._lost += samples * (not _add(table, key, microseconds, samples))

    def _add_waits(self, waits: Mapping[Key, tuple[int, int]], late: int) -> None:
        self._late = late
        there: dict[Key, int] = {}
        for one, (microseconds, tasks) in waits.items():
            key = one if self._watch.flame_tasks else (0, *one[1:])
            row = self._wait.get(key)
            there[key] = there.get(key, 0) + tasks
            if row is not None:
                row[0] += microseconds
                row[1] = there[key]
            elif len(self._wait) < MOST_STACKS:
                self._wait[key] = [microseconds, tasks]
            else:
                self._lost += 1

    def rows(self, why_not: str) -> dict[str, Any] | None:
        """The `flame` of a tick; None where the viewer wants none, or has none coming."""
        watch = self._watch
        if not (watch.flame or watch.flame_wait):
            return None
        facts: dict[str, Any] = {}
        if watch.flame and (self._samples or self._loop or self._jobs or why_not):
            facts["samples"], facts["idle"] = self._samples, self._idle
            facts["on_loop"] = _ran(self._loop)
            if watch.flame_jobs:
                facts["jobs"] = _ran(self._jobs)
            if why_not:
                facts["why_not"] = why_not[:300]
        if watch.flame_wait and self._wait:
            facts["waiting"] = [
                [group, list(stack), *sums, label, site, task]
                for (task, group, label, site, stack), sums in _some(self._wait)
            ]
            facts["late"] = self._late
        if facts and self._lost:
            facts["lost"] = self._lost
            self._lost = 0
        if watch.flame:
            self._samples = self._idle = 0
        return facts or None


def _ran(table: dict[Key, list[int]]) -> list[list[Any]]:
    return [[task, group, list(stack), *sums, label, site] for (task, group, label, site, stack), sums in _some(table)]


def _add(table: dict[Key, list[int]], key: Key, microseconds: int, samples: int) -> bool:
    row = table.get(key)
    if row is not None:
        row[0] += microseconds
        row[1] += samples
    elif len(table) < MOST_STACKS:
        table[key] = [microseconds, samples]
    else:
        return False
    return True


def _some(table: dict[Key, list[int]]) -> list[tuple[Key, list[int]]]:
    """Takes as many rows out of a table as fit into a tick."""
    found: list[tuple[Key, list[int]]] = []
    room = MOST_SITES
    while table and len(found) < MOST_ROWS and room > 0:
        key = next(iter(table))
        found.append((key, table.pop(key)))
        room -= len(key[-1]) + 7
    return found
