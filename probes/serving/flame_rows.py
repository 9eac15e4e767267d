"""What one viewer has not been sent yet of the samples for flame graphs. Sums, so that a slow viewer loses nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..flame import on_loop, waiting
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
        self._loop: dict[on_loop.Key, list[int]] = {}
        self._wait: dict[waiting.Key, list[int]] = {}
        self._idle = self._samples = self._lost = self._late = 0

    def take(self, drained: on_loop.Drained | None, waits: Mapping[waiting.Key, tuple[int, int]], late: int) -> None:
        """Adds samples of what loops ran, and time that tasks have waited: microseconds, and tasks there now."""
        if drained is not None and self._watch.flame:
            self._add_samples(drained)
        if self._watch.flame_wait:
            self._add_waits(waits, late)

    def _add_samples(self, drained: on_loop.Drained) -> None:
        self._idle += drained.idle
        self._samples += drained.looks
        self._lost += drained.lost
        for key, (microseconds, samples) in drained.rows.items():
            self._lost += samples * (not _add(self._loop, key, microseconds, samples))

    def _add_waits(self, waits: Mapping[waiting.Key, tuple[int, int]], late: int) -> None:
        self._late = late
        for key, (microseconds, tasks) in waits.items():
            row = self._wait.get(key)
            if row is not None:
                row[0] += microseconds
                row[1] = tasks
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
        if watch.flame and (self._samples or self._loop or why_not):
            facts["samples"], facts["idle"] = self._samples, self._idle
            facts["on_loop"] = [
                [task, group, list(stack), *sums] for (task, group, stack), sums in _some(self._loop, 2)
            ]
            if why_not:
                facts["why_not"] = why_not[:300]
        if watch.flame_wait and self._wait:
            facts["waiting"] = [[group, list(stack), *sums] for (group, stack), sums in _some(self._wait, 1)]
            facts["late"] = self._late
        if facts and self._lost:
            facts["lost"] = self._lost
            self._lost = 0
        if watch.flame:
            self._samples = self._idle = 0
        return facts or None


def _add(table: dict[Any, list[int]], key: Any, microseconds: int, samples: int) -> bool:
    row = table.get(key)
    if row is not None:
        row[0] += microseconds
        row[1] += samples
    elif len(table) < MOST_STACKS:
        table[key] = [microseconds, samples]
    else:
        return False
    return True


def _some(table: dict[Any, list[int]], stack: int) -> list[tuple[Any, list[int]]]:
    """Takes as many rows out of a table as fit into a tick."""
    found: list[tuple[Any, list[int]]] = []
    room = MOST_SITES
    while table and len(found) < MOST_ROWS and room > 0:
        key = next(iter(table))
        found.append((key, table.pop(key)))
        room -= len(key[stack]) + 5
    return found
