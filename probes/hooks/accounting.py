"""What the hooks book, and where: the state that they share with the sampler, births outside `create_task`, ends.

Both twins of the hooks, those in C (native/) and those in Python (`pure`), use this one; where the path is hot the
twin in C has the same in C.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from asyncio import tasks
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any

from ..base import protocol
from .backend import FREE_THREADED, MOST_CHANGED, MOST_NAMED, shared
from .records import (
    Failure,
    LoopRecord,
    SiteCounts,
    TaskRecord,
    coro_name,
    error_of,
    is_cancelled,
    start_counting,
    task_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import CodeType

    from .cancellation import Canceller

    AnyTask = asyncio.Task[Any]
    Loop = asyncio.AbstractEventLoop


class SiteAggregates:
    """Counts of the creation sites that the sampler knows."""

    __slots__ = ("_codes", "by_site")

    def __init__(self) -> None:
        self.by_site: dict[int, SiteCounts] = {}
        """By the address of the instruction, which lies in the code object."""
        self._codes: list[CodeType] = []
        """Held, so that no address is used again."""

    def put(self, code: CodeType, lasti: int, counts: SiteCounts) -> None:
        """Makes the counts of a site known; not where the hooks would count in them while the sampler does."""
        if not FREE_THREADED:
            self._codes.append(code)
            self.by_site[id(code) + lasti] = counts

    def get(self, code: CodeType | None, lasti: int) -> SiteCounts | None:
        """The counts of a site, if it is known."""
        return self.by_site.get(id(code) + lasti)

    def values(self) -> Iterable[SiteCounts]:
        """All counts."""
        return list(self.by_site.values())

    def clear(self) -> None:
        """Forgets all."""
        self.by_site.clear()
        self._codes.clear()

    def __len__(self) -> int:
        return len(self.by_site)


def _unset(*_: Any) -> Any:
    raise RuntimeError("no probe is installed")


class State:
    """What the hooks share with the sampler. The twin in C has one of its own with the same attributes."""

    __slots__ = (
        "changed",
        "closed",
        "loops",
        "lost",
        "most_named",
        "named",
        "next_id",
        "on_cancel",
        "on_error",
        "on_loop",
        "on_slow",
        "origin_depth",
        "records",
        "site_aggregates",
        "slow_threshold",
        "watching",
    )

    def __init__(self) -> None:
        self.records: dict[int, TaskRecord] = {}
        """By `id(task)`. An entry outlives its task until the address is used again or the sampler prunes it: a
        callback at the death of each task would cost more than the question, which readers ask, whether the record is
        of this one. The step hook does not ask: while somebody watches, ends are booked and the sampler drops what was
        collected."""
        self.loops: dict[Loop, LoopRecord] = {}
        """The loops that run now. The key of one whose stop may not be seen is an `Unfollowed`."""
        self.changed: deque[TaskRecord] = deque()
        """Born, stepped or ended since the sampler looked; at most MOST_CHANGED."""
        self.lost = 0
        """How many were not put there for want of room."""
        self.site_aggregates = SiteAggregates()
        self.watching = False
        self.closed = False
        """The probe has left: the tables stay empty. The collector does not look into those of the twin in C."""
        self.slow_threshold = 0.1
        self.origin_depth = 0
        self.named = 0
        self.most_named = MOST_NAMED
        self.next_id: Callable[[], int] = count(1).__next__
        self.on_loop: Callable[[Loop], LoopRecord] = _unset
        """Called for a loop that is not in `loops` yet."""
        self.on_slow: Callable[[LoopRecord, Any, TaskRecord | None, float, float], None] = _unset
        """Called with loop, callback, record, start and duration (s) of a callback beyond the threshold."""
        self.on_cancel: Callable[[Loop, AnyTask, Any], None] | None = None
        """Called with loop, task and future when a cancelled future wakes a task (see cancels.py)."""
        self.on_error: Callable[[str, Exception], None] = _unset
        """Called when a hook raised: it switches the hook off and tells the viewers."""

    def forget_loops(self) -> None:
        """To be called whenever a loop leaves `loops`: the twin in C remembers the last one."""


state: State = State() if shared is None else shared
records = state.records
loops = state.loops
changed = state.changed
site_aggregates = state.site_aggregates
cancellers: dict[int, Canceller] = {}
"""Of tasks that were cancelled, by their ids: see cancels.py."""
settled: dict[int, Canceller] = {}
"""Of those that have ended by it, until the sampler tells their ends."""
MOST_SETTLED = 2000


class Unfollowed(weakref.ref[Any]):
    """A loop among `loops` whose stop may not be seen: it is found like any other, and not kept alive."""

    __slots__ = ()
    __hash__ = weakref.ref.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other or self() is other


def begin_loop(loop: Loop, record: LoopRecord, followed: bool) -> None:
    """Books that a loop runs. `followed`: its stop will be seen (see `end_loop`)."""
    loops.pop(loop, None)  # an entry keeps the key that it was made with
    state.forget_loops()
    record.followed = followed
    key: Any = loop if followed else Unfollowed(loop, end_loop)
    loops[key] = record


def end_loop(key: Any, pop: Callable[..., Any] = loops.pop, forget: Callable[[], None] = state.forget_loops) -> None:
    """Books that a loop does not run any more. Relies on no global name: the interpreter may be ending."""
    record = pop(key, None)
    if record is not None:
        record.followed = False
        forget()


_current: Any = getattr(tasks, "_current_tasks", None) if sys.version_info < (3, 14) else None


def current_task_of(loop: Loop) -> AnyTask | None:
    """The task that runs on a loop now, from any thread."""
    if _current is not None:
        task: AnyTask | None = _current.get(loop)
        return task
    try:
        return asyncio.current_task(loop)
    except RuntimeError:
        return None


def make_first_step_callback() -> tuple[AnyTask, Any]:
    """A task that has not begun and never will, and the callback that would run its first step."""
    callbacks: list[Any] = []

    class Stub:
        def get_debug(self) -> bool:
            return False

        def call_soon(self, callback: Any, context: Any = None) -> None:  # noqa: ARG002
            callbacks.append(callback)

    async def nothing() -> None:
        pass

    coro = nothing()
    # The name keeps asyncio from counting it: the program's first task stays `Task-1`.
    task: Any = asyncio.Task(coro, loop=Stub(), name="")  # type: ignore[arg-type]
    task._log_destroy_pending = False
    coro.close()
    return task, callbacks.pop()


def record_of(task: Any) -> TaskRecord | None:
    """The record of a task. An entry may be of a dead task that had the same address, so it is asked."""
    record = records.get(id(task))
    return record if record is not None and record() is task else None


def adopt(task: AnyTask, loop: LoopRecord | None, predates_probe: bool = False) -> TaskRecord:
    """The record of a task that was made without passing `create_task`, or (`predates_probe`) before the probe came."""
    record = record_of(task)
    if record is None:
        record = TaskRecord(task)
        record.id = state.next_id()
        record.key = id(task)
        record.born = record.code = None
        record.lasti = record.parent = 0
        record.eager = False
        record.predates_probe = predates_probe
        record.loop = loop
        start_counting(record)
        if not state.closed:
            records[record.key] = record
            if state.watching:
                add_changed(record)
    return record


def add_changed(record: TaskRecord) -> None:
    """Hands a record to the sampler, if there is room; else that is counted, and its next step tries again."""
    if len(changed) < MOST_CHANGED:
        record.dirty = True
        changed.append(record)
    else:
        state.lost += 1


def finish(record: TaskRecord, task: AnyTask, now: float) -> None:
    """Books the end of the task of a record. Never calls `task.exception()`: it would silence "never retrieved"."""
    if record.outcome:
        return
    record.ended = now
    error = error_of(task)
    record.outcome = (
        protocol.FAILED if error is not None else protocol.CANCELLED if is_cancelled(task) else protocol.DONE
    )
    if state.named < MOST_NAMED or error is not None:
        state.named += 1
        tell_end(record, task, error)
    elif record.steps_reported < 0 and not record.dirty and record.counted is None:
        # No viewer has heard of it, and those that are told by name are enough: it need not even be kept.
        counts = site_aggregates.get(record.code, record.lasti)
        if counts is not None:
            counts.born += 1
            counts.ended += 1
            counts.untold += 1
            counts.busy += record.busy
            counts.steps += record.steps
            if record.outcome == protocol.CANCELLED:
                counts.cancelled += 1
            if record.loop is not None:
                record.loop.steps += record.steps
            record.dirty = True
    if not record.dirty:
        add_changed(record)
    if records.get(record.key) is record:
        del records[record.key]


def tell_end(record: TaskRecord, task: AnyTask, error: BaseException | None) -> None:
    """What an end that is told by name needs, for the twin in C; not hot, since few are told so."""
    if error is not None:
        record.failure = Failure(error, record.code)
    record.name = task_name(task)
    record.coro = record.coro or coro_name(task, record.steps > record.eager)
    if cancellers:
        settle(record, task)


def settle(record: TaskRecord, task: AnyTask) -> None:
    """Keeps who cancelled a task that has ended by it, and not by a later cancellation that nobody saw."""
    known = cancellers.pop(record.id, None)
    if known is None or record.outcome != protocol.CANCELLED:
        return
    if record.steps == known.steps + 1 or task.cancelling() == known.count:
        if len(settled) >= MOST_SETTLED:
            settled.pop(next(iter(settled)), None)
        settled[record.id] = known


def forget_all() -> None:
    """Empties the tables for good: the probe leaves, and what a hook still records goes nowhere."""
    state.closed = True
    records.clear()
    loops.clear()
    state.forget_loops()
    changed.clear()
    site_aggregates.clear()


def new_table() -> dict[int, TaskRecord]:
    """An empty table of records by their id."""
    table: dict[int, TaskRecord] = {} if shared is None else type(shared.records)(TaskRecord, True)
    return table


def prune(start: int, number: int) -> int:
    """Forgets the records of tasks that are no more, in a part of the table. Returns the next start, or 0."""
    if shared is not None:
        following: int = shared.records.prune(start, number)
        return following
    keys = list(records)
    for key in keys[start : start + number]:
        record = records.get(key)
        if record is not None and record() is None and records.get(key) is record:
            del records[key]
            start -= 1
    start += number
    return start if start < len(records) else 0
