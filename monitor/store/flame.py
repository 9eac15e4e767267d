"""Collects the samples of flame graphs: seconds by group and stack, bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.protocol.rows import SECOND
from monitor.store.model import Site

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.protocol import frames
    from monitor.store.tables import Tables

MOST_STACKS = 20_000
MOST_FRAMES = 400_000
"""Limit of frames in all stacks. Beyond it or the limit of stacks, those with the least time are merged by group."""

OTHERS = Site("", 0, "(others)")
CALLBACKS = "(callbacks)"
"""The group of samples outside any task."""

Stack = tuple[Site, ...]


class Stacks:
    """Seconds by group and stack, outermost frame first."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, Stack], float] = {}
        self._frames = 0
        self.revision = 0

    def add(self, group: str, stack: Stack, seconds: float) -> None:
        """Add time to a stack."""
        key = group, stack
        if key not in self._rows:
            if len(self._rows) >= MOST_STACKS or self._frames > MOST_FRAMES:
                self._thin_out()
            self._frames += len(stack)
        self._rows[key] = self._rows.get(key, 0.0) + seconds
        self.revision += 1

    def _thin_out(self) -> None:
        """Keep the half of the stacks with the most time; merge the others by group."""
        ordered = sorted(self._rows.items(), key=lambda row: -row[1])
        self._rows, self._frames = {}, 0
        for (group, stack), seconds in ordered:
            whole = len(self._rows) < MOST_STACKS // 2 and self._frames < MOST_FRAMES // 2
            key = (group, stack if whole else (OTHERS,))
            self._frames += len(key[1]) if key not in self._rows else 0
            self._rows[key] = self._rows.get(key, 0.0) + seconds

    @property
    def seconds(self) -> float:
        """Seconds of all stacks together."""
        return sum(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[tuple[str, Stack, float]]:
        for (group, stack), seconds in self._rows.items():
            yield group, stack, seconds

    def copy(self) -> Stacks:
        """Return an independent copy."""
        twin = Stacks()
        twin._rows, twin._frames, twin.revision = dict(self._rows), self._frames, self.revision
        return twin

    def since(self, before: Stacks) -> Stacks:
        """Return what was added since a copy was made."""
        known = before._rows
        rows = ((*key, seconds - known.get(key, 0.0)) for key, seconds in self._rows.items())
        return Stacks.of(row for row in rows if row[2] > 1e-9)

    @classmethod
    def of(cls, rows: Iterable[tuple[str, Stack, float]]) -> Stacks:
        """Yield group, stack and seconds."""
        found = cls()
        for row in rows:
            found.add(*row)
        return found


class FlameSamples:
    """Samples of what loops ran and what tasks waited for, since the first tick that had some."""

    def __init__(self) -> None:
        self.on_loop, self.waiting = Stacks(), Stacks()
        self.samples = 0
        self.idle = 0.0  # seconds in which loops ran no callback
        self.lost = 0
        self.why_not = ""  # the reason if the loops cannot be sampled
        self.since: float | None = None

    def apply(self, told: frames.Flame, at: float, tables: Tables) -> None:
        """Add the samples of a tick."""
        self.since = at if self.since is None else self.since
        self.samples += told.samples
        self.idle += told.idle * SECOND
        self.lost += told.lost
        self.why_not = told.why_not
        for row in told.on_loop:
            name = tables.string(row.group) if row.task and row.group else CALLBACKS
            self.on_loop.add(name, tables.stack(row.stack), row.time * SECOND)
        for waited in told.waiting:
            self.waiting.add(tables.string(waited.group), tables.stack(waited.stack), waited.time * SECOND)

    def frozen(self) -> FlameSamples:
        """Return an independent copy."""
        twin = FlameSamples()
        vars(twin).update(vars(self))
        twin.on_loop, twin.waiting = self.on_loop.copy(), self.waiting.copy()
        return twin
