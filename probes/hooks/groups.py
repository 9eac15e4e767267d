"""Groups: tasks of one coroutine and label, counted at the birth and at the end of each, so that none is missed; and
tasks of one creation site, whose ends are counted.

Births and ends are counted in the program's threads. With the hooks in C that is done by native/group.c, which asks
here for what it does not know: the group of a code that it has not seen, and labels.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from time import monotonic
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from ..base import protocol, sites
from ..base.task_facts import name_of
from .backend import FREE_THREADED, native, shared

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextvars import Context
    from types import CodeType

    from .records import TaskRecord

PARTS = 16
"""Parts of an octave: the middle of a bucket is within 3.1 % of everything in it."""
SLOWEST = 5
MOST_GROUPS = 2000
"""Most coroutines that have a group of their own."""
MOST_LABELS = 500
"""Most labels of one coroutine."""
MOST_LABELLED = 3000
MOST_SITES = 1000
"""Most creation sites that have a group of their own."""
OTHERS = "(others)"
"""The coroutine, or the label, of all beyond the bounds."""
AGE, RAN, QUEUED, WAITED = range(4)
_NAN = float("nan")


def bucket_of(seconds: float) -> int:
    """The bucket of a duration: microseconds up to 15, then a sixteenth of an octave each."""
    whole = min(int(seconds * 1e6), 200_000_000_000) if seconds > 0.0 else 0
    if whole < PARTS:
        return whole
    octave = whole.bit_length() - 4
    return octave * PARTS + ((whole >> (octave - 1)) & (PARTS - 1))


class GroupCounts:
    """What is counted of the tasks of one coroutine and label, or of one creation site."""

    __slots__ = (
        "_buckets",
        "_slowest",
        "adapter",  # name of what reads the labels of its tasks (probes/labels); None: nothing does
        "cancelled",
        "coro",  # name of the coroutine
        "ended",
        "errors",  # of the responses, those with status 500 and above
        "failed",
        "gone",  # collected without an end
        "key",  # code of the coroutine, or the type of what is none; of a site: code and line, or None
        "label",
        "live",
        "number",
        "responses",  # whose status could be read
        "site",  # number of the creation site once somebody has looked; 0 of others
        "sums",  # seconds: age, ran, queued, waited
    )

    def __init__(self, number: int, key: Any, coro: str, label: str | None = None) -> None:
        self.number = number
        self.key = key
        self.coro = coro
        self.label = label
        self.adapter: str | None = None
        self.site = 0
        self.live = self.ended = self.failed = self.cancelled = self.gone = self.responses = self.errors = 0
        self.sums: tuple[float, ...] = (0.0,) * 4
        self._buckets: tuple[dict[int, int], ...] = ({}, {}, {}, {})
        self._slowest: list[tuple[int, float, float, int]] = []

    def add(self, task: int, outcome: int, ended: float, age: float, ran: float, queued: float) -> None:
        """Counts an end. NaN: `age` of a task whose birth was not seen, `ran` of one whose steps were not all."""
        self.ended += 1
        self.failed += outcome == protocol.FAILED
        self.cancelled += outcome == protocol.CANCELLED
        if age != age:
            return
        slowest = self._slowest
        if len(slowest) < SLOWEST or age > slowest[-1][1]:
            slowest.append((task, age, ended, outcome))
            slowest.sort(key=lambda one: -one[1])
            del slowest[SLOWEST:]
        values = (age,) if ran != ran else (age, ran, queued, max(age - ran - queued, 0.0))
        for counts, value in zip(self._buckets, values, strict=False):
            bucket = bucket_of(value)
            counts[bucket] = counts.get(bucket, 0) + 1
        padded = (*values, 0.0, 0.0, 0.0)
        self.sums = tuple(before + value for before, value in zip(self.sums, padded, strict=False))

    def add_response(self, status: int) -> None:
        """Counts a response by its status."""
        self.responses += 1
        self.errors += status >= 500

    def plan(self, *where: Any) -> None:
        """Where the labels of its tasks are, for the hooks in C; see probes/labels/labels.py."""

    def decide(self, by: Any, group: GroupCounts) -> None:
        """Tasks whose label an object decides are counted in a group, for the hooks in C."""

    def histogram(self, which: int) -> list[int]:
        """Buckets that hold something, and how much, in turn."""
        return [number for pair in sorted(self._buckets[which].items()) for number in pair]

    def slowest(self) -> list[tuple[int, float, float, int]]:
        """Id, age, end and outcome of the slowest."""
        return list(self._slowest)


if native is not None and not TYPE_CHECKING:
    GroupCounts = native.GroupCounts


def _no_source(group: GroupCounts, coro: Any) -> Any:  # noqa: ARG001
    return None


def _label_known(record: TaskRecord) -> str | None:
    return record.label


def _no_other(group: GroupCounts, source: Any, label: str) -> bool:  # noqa: ARG001
    return False


def _no_status(record: TaskRecord, source: Any) -> int | None:  # noqa: ARG001
    return None


class Groups:
    """All groups of a process. New ones are made in the program's threads and the probe's, under the GIL.

    Without a lock, which no hook may wait for: what two threads make at the same time is decided by `dict.setdefault`.
    """

    def __init__(self) -> None:
        self.by_key: dict[Any, GroupCounts] = {}
        self.by_label: dict[tuple[Any, str], GroupCounts] = {}
        self._labels_of: dict[int, int] = {}  # how many, by number of the coroutine's group
        self.by_number: dict[int, GroupCounts] = {}
        """Without those of creation sites, which are numbered with them."""
        self.by_site: dict[Any, GroupCounts] = {}
        """By file, line and function; None: of tasks without a creation site; OTHERS: of those beyond MOST_SITES."""
        self._by_instruction: dict[tuple[int, int], tuple[CodeType | None, GroupCounts]] = {}
        """The same by the code's id and instruction; the code is kept, so that no other gets its id."""
        self._being_made: dict[Any, GroupCounts] = {}
        self._numbers = count(1)  # never used again: a task may end that is in a forgotten group
        self.on_made: Callable[[GroupCounts, Any], None] | None = None
        """Called with a new group and a coroutine: may set `adapter`."""
        self.source_of: Callable[[GroupCounts, Any], Any] = _no_source
        """What the label of a task of a group with an adapter is read from; None: nothing."""
        self.label_of: Callable[[TaskRecord], str | None] = _label_known
        self.decided_by: Callable[[GroupCounts, Any], Any] = _no_source
        """The object that decides alone which label a source has; None if there is none."""
        self.hands_on: Callable[[GroupCounts, Any, str], bool] = _no_other
        """Whether a task with this source counts without its label, which another task gets instead."""
        self.status_of: Callable[[TaskRecord, Any], int | None] = _no_status
        """The status of the response to a request that has ended; None: not known."""
        self.variable: Any = None
        """A context variable that labels are read from, after each step; None: none."""
        self.on_seen: Callable[[TaskRecord, Any], None] | None = None
        """Called when the variable has another value after a step of a task than before."""
        self.later: Any = None
        """The source of a task whose label is not known yet; `on_later` is called after each step of it."""
        self.on_later: Callable[[TaskRecord], None] | None = None
        self.stepping = False
        """With hooks in Python: whether there is anything to do after a step."""
        self.since = monotonic()
        self.version = 0
        """Grows when all groups are forgotten."""
        self.counting = shared is not None
        """With hooks in Python only while a viewer looks at groups: they cost an empty task as much as its creation."""

    def make(self, key: Any, coro: Any) -> GroupCounts:
        """The group of a code that the hooks have not seen, or have forgotten."""
        known = self.by_key.get(key)
        if known is not None:
            return known
        if len(self.by_key) >= MOST_GROUPS:
            return self._kept(self.by_key, None, GroupCounts(next(self._numbers), None, OTHERS))
        mine = GroupCounts(next(self._numbers), key, name_of(coro))
        group = self._being_made.setdefault(key, mine)
        if group is not mine:  # another thread finds its adapter now: this one task has no label
            return group
        try:
            known = self.by_key.get(key)
            if known is not None:  # another thread has just made it
                return known
            if self.on_made is not None:
                self.on_made(group, coro)
            return self._kept(self.by_key, key, group)
        finally:
            self._being_made.pop(key, None)

    def labelled(self, record: TaskRecord) -> GroupCounts | None:
        """The group in which the end of a record counts; None: that of its coroutine."""
        source, given = record.source, record.label is not None
        label = self.label_of(record)
        record.source = record.seen = None
        base = record.group
        if label is None or base is None:
            return None
        record.label = label
        if source is not None and self.hands_on(base, source, label):
            return None
        group = self.of(base, label)
        if shared is not None and source is not None and not given and group.label == label:
            decides = self.decided_by(base, source)
            if decides is not None:
                base.decide(decides, group)
        return group

    def of(self, base: GroupCounts, label: str) -> GroupCounts:
        """The group of a coroutine and a label."""
        if base.label == label:
            return base
        key = (base.number, label)
        group = self.by_label.get(key)
        if group is None:
            if self.by_number.get(base.number) is not base:  # forgotten
                return base
            labels = self._labels_of.get(base.number, 0)
            if label != OTHERS and (labels >= MOST_LABELS or len(self.by_label) >= MOST_LABELLED):
                return self.of(base, OTHERS)
            self._labels_of[base.number] = labels + 1
            made = GroupCounts(next(self._numbers), base.key, base.coro, label)
            made.adapter = base.adapter
            group = self._kept(self.by_label, key, made)
        return group

    def _kept(self, table: dict[Any, GroupCounts], key: Any, made: GroupCounts) -> GroupCounts:
        """The group of a key: a new one, unless another thread has made one meanwhile."""
        group = table.setdefault(key, made)
        if group is made:
            self.by_number[group.number] = group
        return group

    def of_site(self, code: CodeType | None, lasti: int) -> GroupCounts:
        """The group of the tasks that an instruction makes: that of its line."""
        instruction = (id(code), lasti)
        known = self._by_instruction.get(instruction)
        if known is not None:
            return known[1]
        line = 0 if code is None else sites.line_of(code, lasti)
        key: Any = None if code is None else (code.co_filename, line, code.co_qualname)
        group = self.by_site.get(key)
        if group is None and len(self.by_site) >= MOST_SITES:
            key = OTHERS
            group = self.by_site.get(key)
        if group is None:
            place = None if code is None or key == OTHERS else (code, line)
            made = GroupCounts(next(self._numbers), place, OTHERS if key == OTHERS else "")
            group = self.by_site.setdefault(key, made)
        if len(self._by_instruction) >= 2 * MOST_SITES:
            self._by_instruction.clear()
        self._by_instruction[instruction] = (code, group)
        return group

    def forget(self) -> None:
        """Forgets every group, and who reads labels: the probe leaves."""
        self.clear()
        self.on_made, self.source_of, self.label_of, self.status_of = None, _no_source, _label_known, _no_status
        self.decided_by, self.hands_on = _no_source, _no_other
        self.watch_variable(None, None)
        self.watch_later(None, None)

    def watch_variable(self, variable: Any, on_seen: Callable[[TaskRecord, Any], None] | None) -> None:
        """Reads labels from a context variable. Raises NotImplementedError where the hooks cannot."""
        if shared is not None:
            shared.watch_variable(variable, on_seen)
        self.variable, self.on_seen = variable, on_seen
        self.stepping = variable is not None or self.on_later is not None

    def watch_later(self, later: Any, on_later: Callable[[TaskRecord], None] | None) -> None:
        """Has the labels of tasks with this source looked for after each of their steps."""
        if shared is not None:
            shared.watch_later(later, on_later)
        self.later, self.on_later = later, on_later
        self.stepping = self.variable is not None or on_later is not None

    def after_step(self, record: TaskRecord, context: Context) -> None:
        """What native/group.c does after a step."""
        if record.group is None:
            return
        if record.source is not None and record.source is self.later and self.on_later is not None:
            self.on_later(record)
        if self.variable is not None and self.on_seen is not None:
            seen = context.get(self.variable)
            if seen is not None and record.seen is not seen:
                record.seen = seen
                self.on_seen(record, seen)

    def clear(self) -> None:
        """Forgets every group; records that are still in one count into the void."""
        if shared is not None:
            shared.forget_groups()
        self.by_key.clear()
        self.by_label.clear()
        self._labels_of.clear()
        self.by_site.clear()
        self._by_instruction.clear()
        self.by_number = {}
        self.since = monotonic()
        self.version += 1


groups = Groups()


def _key_of_other(coro: Any) -> Any:
    """The type of what is no plain coroutine; the code of one that was compiled by Cython, where many have one type."""
    kind = type(coro)
    code = getattr(coro, "cr_code", None) if kind.__name__ == "coroutine" else None
    return kind if code is None else code


def _enter(record: TaskRecord, coro: Any) -> None:
    """Counts a record in the group of its coroutine, and finds what its label is read from.

    Not in free-threaded builds: without the GIL, counts of several threads would be lost.
    """
    if FREE_THREADED or not groups.counting:
        return
    key: Any = coro.cr_code if type(coro) is CoroutineType else _key_of_other(coro)
    group = groups.by_key.get(key)
    if group is None:
        group = groups.make(key, coro)
    group.live += 1
    record.group = group
    if group.adapter is not None:
        record.source = groups.source_of(group, coro)


def _leave(record: TaskRecord) -> None:
    """Counts the end of a record."""
    group = record.group
    if group is None:
        return
    group.live -= 1
    source = record.source
    if record.label is not None or source is not None:
        adapter = group.adapter
        labelled = groups.labelled(record)
        if labelled is not None:
            record.group = group = labelled
        if source is not None and adapter is not None and record.outcome == protocol.DONE:
            status = groups.status_of(record, source)
            if status is not None:
                group.add_response(status)
    age = _NAN if record.born is None else record.ended - record.born
    ran = record.busy if record.counted is None else _NAN
    for one in (group, groups.of_site(record.code, record.lasti)):
        one.add(record.id, record.outcome, record.ended, age, ran, record.scheduled)


class _Pause:
    def __await__(self) -> Generator[None]:
        yield


def _learn_code(learn: Callable[..., bool]) -> None:
    """Lets the hooks in C find where a coroutine has its code: by one that has not begun, one that is suspended and one
    that has ended.
    """

    async def nothing() -> None:
        pass

    async def pause() -> None:
        await _Pause()

    made = nothing(), pause(), nothing()
    try:
        made[1].send(None)
        with suppress(StopIteration):
            made[2].send(None)
        learn(*made)
    finally:
        for coro in made:
            coro.close()


enter: Callable[[TaskRecord, Any], None] = _enter
leave: Callable[[TaskRecord], None] = _leave
if shared is not None:
    _learn_code(shared.learn_code)
    shared.learn_groups(
        CoroutineType,
        groups.make,
        lambda group, coro: groups.source_of(group, coro),
        groups.labelled,
        lambda record, source: groups.status_of(record, source),
        groups.of_site,
    )
    enter, leave = shared.enter_group, shared.leave_group
