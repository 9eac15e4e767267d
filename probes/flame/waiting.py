"""What tasks wait for: their await stacks, weighted by time. Only what has stepped since the last look is read again.

A task that has not stepped waits where it did, so thousands of idle tasks cost nothing. Within BUDGET of the program's
time what changed is read; what does not fit counts under its old stack until it is its turn.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from ..base import protocol, stacks
from ..hooks import loops
from ..hooks.records import coro_name, is_done

if TYPE_CHECKING:
    from ..base.sites import Tables
    from ..hooks.records import TaskRecord
    from ..sampling.sampler import Changes

BUDGET = 0.008
"""Share of the time in which stacks are read."""
FIRST_BUDGET = 0.04
"""The same, until the tasks that were there at first have been read once."""
SLICE = 0.002
EVERY = 0.05
"""Seconds between two looks."""
MOST_STACKS = 20_000
MOST_ROWS = 2000

Key = tuple[int, tuple[int, ...]]
"""Number of the string that names the group, and numbers of sites, outermost first."""


class Waiting:
    """The stacks of the tasks that wait, while a viewer wants them."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.on = False
        self._pending: dict[int, TaskRecord] = {}
        self._key_of: dict[int, Key] = {}
        self._tasks: dict[Key, int] = {}
        self._since: dict[Key, float] = {}
        self._seconds: dict[Key, float] = {}
        self._first = self._credit = self._looked = 0.0
        self.late = 0
        """Tasks whose turn has not come yet."""

    def switch(self, on: bool, records: Any = ()) -> None:
        """Begins with all tasks there are, or forgets everything."""
        if on == self.on:
            return
        self.on = on
        for table in (self._pending, self._key_of, self._tasks, self._since, self._seconds):
            table.clear()
        self._looked, self._credit = monotonic(), SLICE
        if on:
            self._pending.update((record.id, record) for record in records)
            self._first = len(self._pending)

    def merge(self, changes: Changes) -> None:
        """Takes in which tasks have stepped, and which have gone."""
        pending = self._pending
        now = monotonic()
        for record in changes.live:
            pending[record.id] = record
        for record in changes.ended:
            pending.pop(record.id, None)
            self._set(record.id, None, now)
        for number in changes.gone:
            pending.pop(number, None)
            self._set(number, None, now)

    def look(self, now: float) -> None:
        """Reads as many stacks as there is time for."""
        if now - self._looked < EVERY:
            return
        share = FIRST_BUDGET if self._first > 0 else BUDGET
        self._credit = min(self._credit + share * (now - self._looked), SLICE)
        self._looked = now
        began, pending = monotonic(), self._pending
        record: TaskRecord | None
        while pending and monotonic() - began < self._credit:
            number = next(iter(pending))
            record = pending.pop(number)
            self._set(number, self._read(record), now)
            self._first -= 1
        record = None
        self._credit -= monotonic() - began
        self.late = len(pending)

    def due(self) -> float:
        """When `look` wants to be called."""
        return self._looked + EVERY

    def _read(self, record: TaskRecord) -> Key | None:
        task = record()
        if task is None or is_done(task):
            return None
        if loops.state_of(record, task, None) != protocol.WAITING:
            return None
        coro = task.get_coro()
        frames = stacks.frames_of(coro)
        found = tuple(self._tables.site(code, line) for code, line, _ in frames)
        key = self._tables.string(coro_name(task)), found
        return key if key in self._tasks or len(self._tasks) < MOST_STACKS else (0, ())

    def _set(self, number: int, key: Key | None, now: float) -> None:
        before = self._key_of.get(number)
        if before == key:
            return
        if before is not None:
            self._account(before, now)
            self._tasks[before] -= 1
            del self._key_of[number]
        if key is not None:
            self._account(key, now)
            self._tasks[key] = self._tasks.get(key, 0) + 1
            self._key_of[number] = key

    def _account(self, key: Key, now: float) -> None:
        since = self._since.get(key, now)
        if now > since:
            self._seconds[key] = self._seconds.get(key, 0.0) + self._tasks.get(key, 0) * (now - since)
        self._since[key] = max(now, since)

    def take(self, now: float) -> dict[Key, tuple[int, int]]:
        """Microseconds since the last call, and tasks that wait there now; the stacks that nobody is in are dropped."""
        for key in list(self._tasks):
            self._account(key, now)
        seconds, self._seconds = self._seconds, {}
        found = {key: (round(time * 1e6), self._tasks[key]) for key, time in seconds.items()}
        for key in [key for key, tasks in self._tasks.items() if not tasks]:
            del self._tasks[key], self._since[key]
        return found
