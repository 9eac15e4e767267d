"""Collects await stacks of waiting tasks, weighted by time. Reads only tasks that have stepped since the last look.

A task that has not stepped still waits at the same place, so thousands of idle tasks cost nothing. Changed tasks are
read within a share BUDGET of the time; others count under their old stack until their turn. The waiting time of a task
is exact: the hooks know how long it ran and was queued. So is, while the step ring is on, where it waits now and since
when, and which waits it had since the last look, unless there are too many to note (noted.py). What was not noted
counts for the stack that the task was last seen at. The groups know the waits of tasks that came and went between two
looks, which are spread over the stacks seen in their group.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from ..base import protocol
from ..hooks import loops, reading
from ..hooks.groups import WAITED, groups
from .noted import NotedWaits

if TYPE_CHECKING:
    from ..base.sites import Tables
    from ..hooks.records import TaskRecord
    from ..sampling.sampler import Changes
    from .askers import Askers

BUDGET = 0.007
"""Share of the time that reading stacks may take."""
FIRST_BUDGET = 0.04
"""The same, until the initial tasks have been read once."""
SLICE = 0.002
EVERY = 0.05
"""Seconds between two looks."""
MOST_STACKS = 20_000
MOST_UNREAD = 5000
"""Limit of tasks whose noted waits are kept until they are read for the first time."""
MOST_APART = 4000
"""Limit of stacks of single tasks. The time of further tasks counts for their groups."""

Key = tuple[int, int, int, int, tuple[int, ...]]
"""Id of the task (0 unless tasks are kept apart), group and label (strings; 0: none), creation site, and the sites of
the stack, outermost first.
"""


class Followed:
    """A task: the stack that its time counts for; how long it had run and been queued when last read, and when."""

    __slots__ = ("at", "key", "out")

    def __init__(self, key: Key, out: float, at: float) -> None:
        self.key = key
        self.out = out
        self.at = at


class Waiting:
    """The stacks of waiting tasks, while a viewer asks for them."""

    def __init__(self, tables: Tables, askers: Askers) -> None:
        self._tables = tables
        self._askers = askers
        self.on = self.by_task = False
        self._pending: dict[int, TaskRecord] = {}
        self._followed: dict[int, Followed] = {}
        self._tasks: dict[Key, int] = {}
        self._since: dict[Key, float] = {}
        self._seconds: dict[Key, float] = {}
        self._ended: dict[int, float] = {}  # by group number: seconds that its ended tasks had waited
        self._unseen: dict[tuple[int, int], float] = {}  # by group and label: seconds of waits that were never seen
        self._seen: dict[tuple[int, int], list[Key]] = {}  # the stacks last seen of a group and label
        self._noted = NotedWaits(tables)
        self._unread: dict[int, tuple[TaskRecord, dict[tuple[int, ...], float]]] = {}
        self._version = 0
        self._first = self._credit = self._looked = self._began = 0.0
        self.late = 0
        """Tasks whose turn has not come yet."""

    def switch(self, on: bool, records: Any = ()) -> None:
        """Starts with all live tasks, or drops everything."""
        if on == self.on:
            return
        self.on = on
        for table in (self._pending, self._followed, self._tasks, self._since, self._seconds, self._ended, self._seen):
            table.clear()
        self._unseen.clear()
        self._unread.clear()
        self._noted.switch(on)
        self._looked, self._credit = monotonic(), SLICE
        self._began = self._looked
        if on:
            self._pending.update((record.id, record) for record in records)
            self._first = len(self._pending)
            self._count_ended()

    def merge(self, changes: Changes) -> None:
        """Notes which tasks have stepped, and which have gone."""
        pending = self._pending
        now = monotonic()
        self._take_noted()
        for record in changes.live:
            pending[record.id] = record
        for record in changes.ended:
            pending.pop(record.id, None)
            self._end(record, now)
        for number in changes.gone:
            pending.pop(number, None)
            followed = self._followed.pop(number, None)
            if followed is not None:
                self._move(followed.key, None, now)

    def _take_noted(self) -> None:
        """Counts noted waits where they were, instead of where the task was last seen."""
        began = monotonic()
        for record, stack, seconds in self._noted.take():
            followed = self._followed.get(record.id)
            if followed is not None:
                self._move_seconds(followed.key, stack, seconds)
            elif len(self._unread) < MOST_UNREAD or record.id in self._unread:
                _, waits = self._unread.setdefault(record.id, (record, {}))
                waits[stack] = waits.get(stack, 0.0) + seconds
        for number in [number for number, (record, _) in self._unread.items() if record.outcome]:
            self._count_unread(*self._unread.pop(number))
        self._credit -= monotonic() - began

    def _move_seconds(self, key: Key, stack: tuple[int, ...], seconds: float) -> None:
        if key[4] == stack or not key[1]:
            return
        to = self._known((*key[:4], stack))
        self._add(key, -seconds)
        self._add(to, seconds)

    def _count_unread(self, record: TaskRecord, waits: dict[tuple[int, ...], float]) -> None:
        """A task that came and went between two looks. What its group waited in all is known: this is a part of it."""
        number = getattr(record.group, "number", None)
        if number is None or record.counted is not None or (record.born or 0.0) < self._began:
            return
        _, *rest = self._askers.of(record)
        for stack, seconds in waits.items():
            self._add(self._known((0, *rest, stack)), seconds)  # type: ignore[arg-type]
            self._ended[number] = self._ended.get(number, 0.0) + seconds

    def _known(self, key: Key) -> Key:
        """The key itself, unless there are too many."""
        return key if key in self._seconds or len(self._seconds) < MOST_STACKS else (0, 0, 0, 0, ())

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
            self._read(record, now)
            self._first -= 1
        record = None
        self._credit -= monotonic() - began
        self.late = len(pending)

    def _read(self, record: TaskRecord, now: float) -> None:
        state = loops.state_of(record)
        if state < 0 or state >= protocol.ENDED:
            return
        followed, out = self._followed.get(record.id), _out(record)
        if followed is not None:
            self._add(followed.key, followed.out - out)
            followed.out = out
        if state != protocol.WAITING:
            return
        found = tuple(self._tables.site(code, line) for code, line in reading.await_stack(record))
        number, *rest = self._askers.of(record)
        is_apart = self.by_task and (len(self._tasks) < MOST_APART or (number, *rest, found) in self._tasks)
        key: Key = (number if is_apart else 0, *rest, found)  # type: ignore[assignment]
        if key not in self._tasks and len(self._tasks) >= MOST_STACKS:
            key = (0, 0, 0, 0, ())
        rested = getattr(record, "rested_at", None)  # hooks in C, and the step ring is on
        if followed is None:
            followed = self._followed[record.id] = Followed(key, out, now)
            self._move(None, key, now)
            self._begin(record, key, out, rested, now)
        elif followed.key != key:
            self._move(followed.key, key, now)
            if rested is not None and followed.at < rested < now:
                self._add(followed.key, rested - now)
                self._add(key, now - rested)
            followed.key = key
        followed.at = now

    def _begin(self, record: TaskRecord, key: Key, out: float, rested: float | None, now: float) -> None:
        """Adds what a task has waited since `switch` before it is read for the first time."""
        born = record.born
        _, unread = self._unread.pop(record.id, (None, {}))
        if born is None or born <= self._began:
            if rested is not None:
                self._add(key, max(now - max(rested, self._began), 0.0))
            return
        waited = now - born - out
        here = waited if rested is None else min(max(now - rested, 0.0), waited)
        self._add(key, here)
        for stack, seconds in unread.items():
            part = min(seconds, waited - here)
            self._add(self._known((*key[:4], stack)), part)
            waited -= part
        if waited > here:
            self._unseen[key[1:3]] = self._unseen.get(key[1:3], 0.0) + waited - here

    def _end(self, record: TaskRecord, now: float) -> None:
        followed, born, ended = self._followed.pop(record.id, None), record.born, record.ended
        if followed is not None:
            self._move(followed.key, None, now)
            self._add(followed.key, followed.out - _out(record) - (now - ended if ended else 0.0))
        if born is not None and ended and record.counted is None and (followed is not None or born < self._began):
            number = getattr(record.group, "number", None)
            if number is not None:  # its group is about to report it
                waited = max(ended - born - _out(record), 0.0)
                self._ended[number] = self._ended.get(number, 0.0) + waited

    def _move(self, before: Key | None, after: Key | None, now: float) -> None:
        for key, by in ((before, -1), (after, 1)):
            if key is not None:
                self._account(key, now)
                self._tasks[key] = self._tasks.get(key, 0) + by

    def _add(self, key: Key, seconds: float) -> None:
        self._seconds[key] = self._seconds.get(key, 0.0) + seconds

    def _account(self, key: Key, now: float) -> None:
        since = self._since.get(key, now)
        if now > since:
            self._add(key, self._tasks.get(key, 0) * (now - since))
        self._since[key] = max(now, since)

    def take(self, now: float) -> dict[Key, tuple[int, int]]:
        """Microseconds since the last call, and tasks waiting there now. Stacks without a task are dropped."""
        for key in list(self._tasks):
            self._account(key, now)
        seconds, self._seconds = self._seconds, {}
        for key in [key for key, time in seconds.items() if time < 0.0]:  # it was queued, which shows later
            self._seconds[key] = seconds.pop(key)
        self._spread(seconds, self._count_ended())
        found = {key: (round(time * 1e6), self._tasks.get(key, 0)) for key, time in seconds.items()}
        for key in [key for key, tasks in self._tasks.items() if not tasks]:
            del self._tasks[key], self._since[key]
        return found

    def _count_ended(self) -> dict[tuple[int, int], float]:
        """By group and label: seconds waited that were never seen, most of tasks that ended since the last call."""
        known, found, self._unseen = self._ended, self._unseen, {}
        if self._version != groups.version:
            self._version = groups.version
            known.clear()
        for group in list(groups.by_number.values()):
            waited = group.sums[WAITED]
            unseen = waited - known.get(group.number, 0.0)
            if unseen > 0.0 and waited:
                known[group.number] = waited
                label = 0 if group.label is None else self._tables.string(group.label)
                key = self._tables.string(group.coro), label
                found[key] = found.get(key, 0.0) + unseen
        return found

    def _spread(self, seconds: dict[Key, float], unseen: dict[tuple[int, int], float]) -> None:
        """Distributes that time over the stacks of the group in proportion to what was seen there."""
        by_group: dict[tuple[int, int], list[Key]] = {}
        for key in seconds:
            by_group.setdefault(key[1:3], []).append(key)
        seen = self._seen if len(self._seen) < MOST_STACKS else {}
        self._seen = seen = {**seen, **by_group}
        for group, time in unseen.items():
            keys = by_group.get(group) or by_group.get((group[0], 0)) or seen.get(group) or [(0, *group, 0, ())]
            whole = sum(seconds.get(key, 0.0) for key in keys)
            for key in keys:
                share = seconds.get(key, 0.0) / whole if whole > 0.0 else 1 / len(keys)
                seconds[key] = seconds.get(key, 0.0) + time * share


def _out(record: TaskRecord) -> float:
    """Seconds that a task has run and was queued."""
    return record.busy + record.scheduled
