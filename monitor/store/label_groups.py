"""Groups: tasks of one coroutine and label, or of one creation site, with the probe's counts and histograms (s)."""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from monitor.protocol.frames import GroupsTick
from monitor.protocol.rows import SECOND, GroupRow, us
from probes.base import protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from monitor.store.model import EndedTask, Site, Task
    from monitor.store.tables import TableEncoder, Tables

PARTS = 16
"""Buckets per octave of a histogram, as in the probe."""
MOST = 10_000
MOST_MARKS = 64
MOST_CARRIED = 12
"""Marks of a group in a keyframe."""
LOOKS = 120
"""Most looks of which the ages are kept: two minutes."""
WHILE_WATCHED = "hooks in pure Python: counted only while a viewer looks at groups"
NOT_COUNTED = "free-threaded builds count no groups"
RATE_OVER = 10.0
"""Seconds over which rates are computed, once that much time has been watched."""


def middle(bucket: int) -> float:
    """Return the middle of a bucket in seconds: within 3.1 % of every value in it."""
    octave, part = divmod(bucket, PARTS)
    if octave <= 0:
        return max(bucket, 0) * SECOND
    if octave > 60:
        return math.inf
    width = 1 << (octave - 1)
    return ((PARTS + part) * width + (width - 1) / 2) * SECOND


class Distribution(msgspec.Struct, frozen=True):
    """A histogram of durations with logarithmic buckets."""

    buckets: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()
    most: float = math.inf
    """The greatest value (s), where it is known: the middle of its bucket may lie above it."""

    @classmethod
    def of(cls, flat: Sequence[int], most: float = math.inf) -> Distribution:
        """Build from alternating buckets and counts; invalid ones are skipped."""
        pairs = [(bucket, count) for bucket, count in zip(flat[::2], flat[1::2], strict=False) if count > 0]
        pairs.sort()
        return cls(tuple(bucket for bucket, _ in pairs), tuple(count for _, count in pairs), most)

    @classmethod
    def sum(cls, parts: Iterable[Distribution]) -> Distribution:
        """Return the histogram of the values of several."""
        counts: Counter[int] = Counter()
        most = 0.0
        for part in parts:
            if part.counts:
                counts.update(dict(part))
                most = max(most, part.most)
        return cls.of([n for pair in counts.items() for n in pair], most)

    @property
    def total(self) -> int:
        """Number of values that were counted."""
        return sum(self.counts)

    def at(self, share: float) -> float | None:
        """The value (s) that this share of all does not exceed: 0.99 for p99; None where nothing was counted."""
        total = self.total
        if not total:
            return None
        rank, seen = max(math.ceil(share * total), 1), 0
        for bucket, count in self:
            seen += count
            if seen >= rank:
                return min(middle(bucket), self.most)
        return min(middle(self.buckets[-1]), self.most)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield buckets and their counts."""
        return zip(self.buckets, self.counts, strict=True)

    def octaves(self) -> tuple[tuple[int, int], ...]:
        """Octaves that hold something, and how much, in order."""
        found: Counter[int] = Counter()
        for bucket, count in self:
            found[bucket // PARTS] += count
        return tuple(sorted(found.items()))

    def minus(self, before: Distribution) -> Distribution:
        """Return what was counted since an earlier histogram."""
        known = dict(before)
        return Distribution.of([n for bucket, count in self for n in (bucket, count - known.get(bucket, 0))])


class Exemplar(msgspec.Struct, frozen=True):
    """One of the slowest tasks of a group."""

    task: int
    age: float
    ended: float | None  # None: still alive
    outcome: str
    at: Site | None  # the line at which it was last seen waiting


class Ages(msgspec.Struct, frozen=True):
    """How many tasks ended between two looks, by octave of their age."""

    at: float
    octaves: tuple[tuple[int, int], ...]


class LabelGroup(msgspec.Struct):
    """The tasks of one coroutine and label, or of one creation site."""

    number: int
    coro: str  # of a creation site: empty, or what its tasks without a site have in common
    label: str | None
    site: Site | None  # where the coroutine is defined, or the creation site
    live: int = 0
    ended: int = 0
    failed: int = 0
    cancelled: int = 0
    gone: int = 0
    responses: int = 0  # whose status could be read
    errors: int = 0  # of these, with status 500 and above
    sums: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)  # age, ran, queued, waited
    age: Distribution = Distribution()
    ran: Distribution = Distribution()
    queued: Distribution = Distribution()
    waited: Distribution = Distribution()
    slowest: tuple[Exemplar, ...] = ()
    oldest: Exemplar | None = None
    marks: deque[tuple[float, int, int]] = msgspec.field(default_factory=lambda: deque(maxlen=MOST_MARKS))
    """Time, ends and failures up to then, once a second."""
    row: GroupRow | None = None  # the newest, for keyframes
    past: deque[Ages] = msgspec.field(default_factory=lambda: deque(maxlen=LOOKS))
    """Ages of those that ended between two looks, oldest first; a keyframe does not have them."""
    version: int = 0
    by_site: bool = False
    """The tasks that one line creates, whatever their coroutine and label."""

    @property
    def name(self) -> str:
        """The name to show: the label, else the coroutine."""
        return f"{self.coro} {self.label}" if self.label else self.coro

    @property
    def started(self) -> int:
        """Number of tasks that were born into this group or assigned to it later."""
        return self.live + self.ended + self.gone

    def holds(self, task: Task | EndedTask) -> bool:
        """Whether a task belongs to this group, as far as its label is known."""
        if self.by_site:
            return not self.coro and task.site == self.site
        return task.coro == self.coro and task.label == self.label

    def live_tasks(self, tasks: Iterable[Task]) -> Iterator[Task]:
        """Yield the live tasks of this group."""
        return filter(self.holds, tasks)

    def maximum(self) -> float | None:
        """The age of the slowest ended task."""
        return max((one.age for one in self.slowest), default=None)

    @property
    def known_errors(self) -> int | None:
        """Responses with status 500 and above; None where no status could be read."""
        return self.errors if self.responses else None

    def rate(self, now: float) -> float | None:
        """Ended tasks per second over the last `rate_over` seconds."""
        recent = self._recent(now)
        return None if recent is None else recent[0] / recent[1]

    def rate_over(self, now: float) -> float | None:
        """Seconds that the rate covers: about `RATE_OVER`, or less if no more was watched; None without a rate."""
        recent = self._recent(now)
        return None if recent is None else recent[1]

    def _recent(self, now: float) -> tuple[int, float] | None:
        """Return how many tasks ended of late, and in how many seconds."""
        if not self.marks or now - self.marks[-1][0] > 3 * RATE_OVER:
            return None
        newest = self.marks[-1]  # a black box has one in ten seconds
        first = next((mark for mark in reversed(self.marks) if mark[0] <= newest[0] - RATE_OVER), self.marks[0])
        elapsed = newest[0] - first[0]
        return (max(newest[1] - first[1], 0), elapsed) if elapsed >= 0.5 else None

    def parts(self) -> tuple[float, float, float]:
        """Shares of ran, queued and waited in the known part of the ages; zeros if nothing is known."""
        _, ran, queued, waited = self.sums
        whole = ran + queued + waited
        return (ran / whole, queued / whole, waited / whole) if whole > 0.0 else (0.0, 0.0, 0.0)


class MergedGroup(LabelGroup):
    """One group of several processes."""

    per_s: float | None = None
    over: float | None = None

    def rate(self, now: float) -> float | None:  # noqa: ARG002 - of each process at its own time
        """Ended tasks per second, of all processes together."""
        return self.per_s

    def rate_over(self, now: float) -> float | None:  # noqa: ARG002
        """Seconds that the rate covers in the process with the most."""
        return self.over

    @classmethod
    def of(cls, groups: Sequence[tuple[LabelGroup, float]]) -> MergedGroup:
        """Add up groups of one coroutine and label, each with the time of its process."""
        first, those = groups[0][0], [group for group, _ in groups]
        rates = [rate for group, now in groups if (rate := group.rate(now)) is not None]
        over = [seconds for group, now in groups if (seconds := group.rate_over(now)) is not None]
        ages = sorted((one for group in those for one in group.slowest), key=lambda one: -one.age)
        oldest = [group.oldest for group in those if group.oldest is not None]
        return cls(
            0,
            first.coro,
            first.label,
            first.site,
            live=sum(group.live for group in those),
            ended=sum(group.ended for group in those),
            failed=sum(group.failed for group in those),
            cancelled=sum(group.cancelled for group in those),
            gone=sum(group.gone for group in those),
            responses=sum(group.responses for group in those),
            errors=sum(group.errors for group in those),
            sums=tuple(map(sum, zip(*(group.sums for group in those), strict=True))),
            age=Distribution.sum(group.age for group in those),
            ran=Distribution.sum(group.ran for group in those),
            queued=Distribution.sum(group.queued for group in those),
            waited=Distribution.sum(group.waited for group in those),
            slowest=tuple(ages),
            oldest=max(oldest, key=lambda one: one.age, default=None),
            per_s=sum(rates) if rates else None,
            over=max(over, default=None),
        )


class LabelGroups(dict[int, LabelGroup]):
    """The groups of a program by coroutine and label, by number; those by creation site are in `by_site`."""

    def __init__(self) -> None:
        super().__init__()
        self.by_site: dict[int, LabelGroup] = {}
        self.since: float | None = None
        """When counting began; None before the first row."""
        self.looks = 0

    def apply(self, tick: GroupsTick, tables: Tables, now: float) -> None:
        """Apply the rows that changed."""
        since = tick.since * SECOND
        if self.since is not None and abs(since - self.since) > 1e-3:
            self.clear()  # counting began anew
            self.by_site.clear()
        self.since = since
        self.looks += 1
        for row in tick.rows:
            known = self.find(row.number)
            if known is not None or len(self) + len(self.by_site) < MOST:
                before = None if known is None else known.age
                group = self.take(row, tables.string(row.label) if row.label else None, tables)
                if self.looks > 1:  # the first look has all since counting began
                    octaves = (group.age if before is None else group.age.minus(before)).octaves()
                    if octaves:
                        group.past.append(Ages(now, octaves))
        for group in (*self.values(), *self.by_site.values()):
            if not group.marks or now - group.marks[-1][0] >= 0.5:
                group.marks.append((now, group.ended, group.failed))

    def find(self, number: int) -> LabelGroup | None:
        """Return a group of either kind."""
        return self.get(number) or self.by_site.get(number)

    def take(self, row: GroupRow, label: str | None, tables: Tables) -> LabelGroup:
        """Take a row, and return its group."""
        group = self.find(row.number)
        if group is None:
            group = LabelGroup(row.number, tables.string(row.coro), label, tables.site(row.site))
            group.by_site = bool(row.by_site)
            (self.by_site if group.by_site else self)[row.number] = group
        group.version += 1
        group.row = row
        group.live, group.ended, group.failed = row.live, row.ended, row.failed
        group.cancelled, group.gone = row.cancelled, row.gone
        group.responses, group.errors = row.responses, row.errors
        group.sums = tuple(number * SECOND for number in [*row.sums, 0, 0, 0, 0][:4])
        group.ran, group.queued, group.waited = map(Distribution.of, (row.ran, row.queued, row.waited))
        group.slowest = tuple(
            sorted(
                (
                    Exemplar(one.task, one.age * SECOND, one.ended * SECOND, _outcome(one.state), tables.site(one.at))
                    for one in row.slowest
                ),
                key=lambda one: -one.age,
            )
        )
        oldest = row.oldest
        maximum = group.maximum()
        group.age = Distribution.of(row.age, math.inf if maximum is None else maximum)
        group.oldest = (
            None if oldest is None else Exemplar(oldest.task, oldest.age * SECOND, None, "", tables.site(oldest.at))
        )
        return group

    def encode(self, numbers: TableEncoder) -> tuple[GroupsTick, list[list[tuple[int, int, int]]]] | None:
        """The rows of all groups, and the marks of each, for a keyframe; None if there are none."""
        if self.since is None:
            return None
        every = (*self.values(), *self.by_site.values())
        groups = [(group, group.row) for group in every if group.row is not None]
        rows = [_encoded(group, row, numbers) for group, row in groups]
        marks = [[(us(at), ended, failed) for at, ended, failed in group.marks] for group, _ in groups]
        return GroupsTick(since=us(self.since), rows=rows), [each[-MOST_CARRIED:] for each in marks]

    def restore(self, tick: GroupsTick, marks: list[list[tuple[int, int, int]]], tables: Tables, now: float) -> None:
        """Become what was encoded."""
        self.apply(tick, tables, now)
        for row, each in zip(tick.rows, marks, strict=False):
            group = self.find(row.number)
            if group is not None:
                group.marks = deque(((at * SECOND, n, m) for at, n, m in each), maxlen=MOST_MARKS)

    def rate_over(self, now: float) -> float | None:
        """Seconds that the rates cover, in the group with the most; None if no group has a rate."""
        over = (group.rate_over(now) for group in (*self.values(), *self.by_site.values()))
        return max((seconds for seconds in over if seconds is not None), default=None)

    def frozen(self) -> LabelGroups:
        """Return an independent copy."""
        twin = LabelGroups()
        twin.since, twin.looks = self.since, self.looks
        for groups, copies in ((self, twin), (self.by_site, twin.by_site)):
            for number, group in groups.items():
                copies[number] = replace(group, marks=group.marks.copy(), past=group.past.copy())
        return twin


def _encoded(group: LabelGroup, row: GroupRow, numbers: TableEncoder) -> GroupRow:
    """A row whose strings and sites are numbered as in a keyframe."""
    sites = {one.task: numbers.site(one.at) for one in group.slowest}
    oldest = row.oldest
    if oldest is not None and group.oldest is not None:
        oldest = replace(oldest, at=numbers.site(group.oldest.at))
    return replace(
        row,
        coro=numbers.string(group.coro),
        label=0 if group.label is None else numbers.string(group.label),
        site=numbers.site(group.site),
        slowest=[replace(one, at=sites.get(one.task, 0)) for one in row.slowest],
        oldest=oldest,
    )


def _outcome(state: int) -> str:
    return protocol.STATES[state] if 0 <= state < len(protocol.STATES) else "done"
