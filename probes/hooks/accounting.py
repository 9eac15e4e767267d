"""The state that hooks and sampler share, and the accounting that both backends of the hooks use.

The hooks in C (native/) have a C version of everything hot; those in Python (births_in_python.py and
steps_in_python.py) use this module throughout.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from _thread import get_ident
from asyncio import tasks
from collections import deque
from itertools import count, islice
from typing import TYPE_CHECKING, Any

from ..base import protocol
from ..base.task_facts import coro_name, coro_of, error_of, is_cancelled, name_of, task_name
from ..base.turns import turns
from . import groups
from .backend import FREE_THREADED, MOST_CHANGED, MOST_NAMED, shared
from .records import Failure, LoopRecord, SiteCounts, TaskRecord, start_counting, tracebacks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import CodeType

    from .cancellation import Canceller

    AnyTask = asyncio.Task[Any]
    Loop = asyncio.AbstractEventLoop

_AT_ONCE = 64
"""Records between two turns of the program."""


class SiteAggregates:
    """Counts by creation site, for the sites that the sampler knows."""

    __slots__ = ("_codes", "by_site")

    def __init__(self) -> None:
        self.by_site: dict[int, SiteCounts] = {}
        """By `id(code) + lasti`, an address inside the code object and so unique."""
        self._codes: list[CodeType] = []
        """Kept alive, so that no address is reused."""

    def put(self, code: CodeType, lasti: int, counts: SiteCounts) -> None:
        """Lets the hooks count a site; not in free-threaded builds, where hooks and sampler would write at once."""
        if not FREE_THREADED:
            self._codes.append(code)
            self.by_site[id(code) + lasti] = counts

    def get(self, code: CodeType | None, lasti: int) -> SiteCounts | None:
        """The counts of a site, or None if the sampler does not know it."""
        return self.by_site.get(id(code) + lasti)

    def values(self) -> Iterable[SiteCounts]:
        """The counts of all known sites."""
        return list(self.by_site.values())

    def clear(self) -> None:
        """Remove the figures of every site."""
        self.by_site.clear()
        self._codes.clear()

    def __len__(self) -> int:
        return len(self.by_site)


def _unset(*_: Any) -> Any:
    raise RuntimeError("no probe is installed")


class State:
    """What the hooks share with the sampler. The backend in C has its own State with the same attributes."""

    __slots__ = (
        "changed",
        "closed",
        "loops",
        "lost",
        "making",
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
        """By `id(task)`. An entry outlives its task until the address is reused or the sampler prunes it: a callback at
        the death of each task would cost more than checking on lookup that the record is of this task. The step hook
        does not check: while steps are counted, ends are recorded and the sampler removes collected tasks."""
        self.loops: dict[Loop, LoopRecord] = {}
        """The loops that run now. The key of a loop whose stop may go unnoticed is an `Unfollowed`."""
        self.changed: deque[TaskRecord] = deque()
        """Born, stepped or ended since the sampler looked; at most MOST_CHANGED."""
        self.lost = 0
        """How many did not fit into `changed`."""
        self.site_aggregates = SiteAggregates()
        self.watching = False
        self.closed = False
        """The probe has left and the tables stay empty, since the garbage collector does not visit those in C."""
        self.slow_threshold = 0.1
        self.origin_depth = 0
        self.named = 0
        self.making: Any = None
        """The coroutine whose task a hook of `create_task` in Python is making."""
        self.next_id: Callable[[], int] = count(1).__next__
        self.on_loop: Callable[[Loop], LoopRecord] = _unset
        """Called for a loop that is not in `loops` yet."""
        self.on_slow: Callable[[LoopRecord, Any, TaskRecord | None, float, float], None] = _unset
        """Called with loop, callback, record, start and duration (s) of a callback longer than the threshold."""
        self.on_cancel: Callable[[Loop, AnyTask, Any], None] | None = None
        """Called with loop, task and future when a cancelled future wakes a task (see cancellation.py)."""
        self.on_error: Callable[[str, Exception], None] = _unset
        """Called when a hook raised: switches the hook off and reports it to the viewers."""

    def forget_loops(self) -> None:
        """To be called whenever a loop is removed from `loops`: the backend in C caches the last one."""


state: State = State() if shared is None else shared
records = state.records
loops = state.loops
changed = state.changed
site_aggregates = state.site_aggregates
cancellers: dict[int, Canceller] = {}
"""Who cancelled each cancelled task, by task id: see cancellation.py."""
settled: dict[int, Canceller] = {}
"""The same for tasks that have ended by it, until the sampler reports their ends."""
MOST_SETTLED = 2000


class Unfollowed(weakref.ref[Any]):
    """Key in `loops` of a loop whose stop may go unnoticed: equal to the loop, without keeping it alive."""

    __slots__ = ()
    __hash__ = weakref.ref.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other or self() is other


def begin_loop(loop: Loop, record: LoopRecord, followed: bool) -> None:
    """Records that a loop runs. `followed`: its stop will be noticed (see `end_loop`)."""
    loops.pop(loop, None)  # assigning to an existing entry would keep its old key
    state.forget_loops()
    record.followed = followed
    key: Any = loop if followed else Unfollowed(loop, end_loop)
    loops[key] = record
    state.forget_loops()  # again, since this also wakes the watchdog, which might have looked in between


def end_loop(key: Any, pop: Callable[..., Any] = loops.pop, forget: Callable[[], None] = state.forget_loops) -> None:
    """Records that a loop stopped. Uses no global names, since the interpreter may be shutting down."""
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
    """A task that never starts, and the callback that would run its first step."""
    callbacks: list[Any] = []

    class Stub:
        def get_debug(self) -> bool:
            return False

        def call_soon(self, callback: Any, context: Any = None) -> None:  # noqa: ARG002
            callbacks.append(callback)

    async def nothing() -> None:
        pass

    coro = nothing()
    # With a name given, asyncio does not use up a number: the program's first task remains `Task-1`.
    before, state.making = state.making, coro  # none of the program's: no hook counts it
    try:
        task: Any = asyncio.Task(coro, loop=Stub(), name="")  # type: ignore[arg-type]
    finally:
        state.making = before
    task._log_destroy_pending = False
    coro.close()
    return task, callbacks.pop()


def record_of(task: Any) -> TaskRecord | None:
    """The record of a task, or None. Checked, since an entry may be of a dead task that had the same address."""
    record = records.get(id(task))
    return record if record is not None and record() is task else None


def adopt(task: AnyTask, loop: LoopRecord | None, predates_probe: bool = False) -> TaskRecord:
    """The record of a task that bypassed the `create_task` hook or (`predates_probe`) is older than the probe."""
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
                enter_group(record, task)
                add_changed(record)
    return record


def enter_group(record: TaskRecord, task: Any) -> None:
    """Counts a task that bypassed the hooks, or is older than the counting, in the group of its coroutine."""
    try:
        coro = coro_of(task)
        if coro is not None:
            groups.enter(record, coro)
    except Exception as error:
        state.on_error("groups", error)


def leave_group(record: TaskRecord) -> None:
    """Counts the end of a task in its group."""
    try:
        groups.leave(record)
    except Exception as error:
        state.on_error("groups", error)


def add_changed(record: TaskRecord) -> None:
    """Queues a record for the sampler. If there is no room, that is counted and the task's next step tries again."""
    if len(changed) < MOST_CHANGED:
        record.dirty = True
        changed.append(record)
    else:
        state.lost += 1


def finish(record: TaskRecord, task: AnyTask, now: float) -> None:
    """Records the end of a task. Never calls `task.exception()`, which would silence "never retrieved"."""
    if record.outcome:
        return
    record.ended = now
    error = error_of(task)
    record.outcome = (
        protocol.FAILED if error is not None else protocol.CANCELLED if is_cancelled(task) else protocol.DONE
    )
    if not FREE_THREADED:
        leave_group(record)
    counts = site_aggregates.get(record.code, record.lasti)
    if state.named < MOST_NAMED if error is None else counts is None or counts.flood != id(type(error)):
        state.named += 1
        report_end(record, task, error)
    elif counts is not None and record.steps_reported < 0 and not record.dirty and record.counted is None:
        # No viewer knows it, and enough ends are reported by name: its record is not kept.
        counts.born += 1
        counts.ended += 1
        counts.unreported += 1
        counts.busy += record.busy
        counts.steps += record.steps
        if record.outcome == protocol.CANCELLED:
            counts.cancelled += 1
        elif error is not None:
            counts.failed += 1
        if record.loop is not None:
            record.loop.steps += record.steps
        record.dirty = True
    # First: as long as it is there, the sampler takes the end as not yet recorded.
    if records.get(record.key) is record:
        del records[record.key]
    if not record.dirty:
        add_changed(record)


def report_end(record: TaskRecord, task: AnyTask, error: BaseException | None, coro: Any = None) -> None:
    """Collects what the report of an end by name needs. Also called by the backend in C; few ends are reported so.

    `coro` is that of an eager task, which no longer refers to it.
    """
    if coro is not None:
        record.coro = name_of(coro)
    if error is not None:
        thread = record.loop.thread if record.loop is not None else 0
        record.failure = Failure(error, record.code, thread not in (0, get_ident()))
        if not record.failure.read:
            tracebacks.flood(site_aggregates.get(record.code, record.lasti), error)
    record.name = task_name(task)
    record.coro = record.coro or coro_name(task, record.steps > record.eager)
    if cancellers:
        settle(record, task)


def settle(record: TaskRecord, task: AnyTask) -> None:
    """Keeps who cancelled a task that ended by that cancellation, and not by a later unseen one."""
    known = cancellers.pop(record.id, None)
    if known is None or record.outcome != protocol.CANCELLED:
        return
    if record.steps == known.steps + 1 or task.cancelling() == known.count:
        if len(settled) >= MOST_SETTLED:
            drop_oldest(settled)
        settled[record.id] = known


def drop_oldest(table: dict[int, Canceller]) -> None:
    """Removes the entry that was added first, while other threads add and remove some."""
    for number in table:  # without a call between the iterator and its first step, unlike `next(iter(table))`
        table.pop(number, None)
        return


def forget_all() -> None:
    """Empties the tables for good: the probe leaves, and what a hook still records goes nowhere."""
    state.closed = True
    records.clear()
    loops.clear()
    state.forget_loops()
    changed.clear()
    site_aggregates.clear()
    groups.groups.forget()


class Table(dict[int, TaskRecord]):
    """Records by their id. In C one takes 10 to 20 bytes of it, here 80 with its id."""

    def take(self, count: int) -> list[TaskRecord]:
        """Removes and returns so many records, in turn."""
        return [self.pop(number) for number in list(islice(self, count))]

    def part(self, start: int, count: int) -> tuple[list[TaskRecord], int]:
        """The records in a part of the table, and where the next part begins, or 0."""
        records = list(self.values())
        return records[start : start + count], start + count if start + count < len(records) else 0


def new_table() -> Table:
    """An empty table of records by their id."""
    table: Table = Table() if shared is None else type(shared.records)(TaskRecord, True)
    return table


def walk(table: dict[int, TaskRecord], most: int = -1) -> Iterator[TaskRecord]:
    """The records that are in a table now, or the first so many, with turns of the program in between. Only for the
    probe's server thread.

    Those that leave the table meanwhile are left out. A list of 100,000 records would hold up the program for 5 ms when
    it is made, for 3 when it is dropped, and for 4 at each collection of garbage that passes over it.
    """
    turns.give()
    if shared is None:
        numbers = list(table)[: None if most < 0 else most]
        for start in range(0, len(numbers), _AT_ONCE):
            turns.give()
            yield from filter(None, map(table.get, numbers[start : start + _AT_ONCE]))
    else:
        native: Any = table
        keys = native.keys(most)
        for start in range(0, len(keys) // 8, _AT_ONCE):
            turns.give()
            yield from native.some(keys, start, _AT_ONCE)


def prune(start: int, number: int) -> int:
    """Removes the records of collected tasks from one part of the table. Returns where to continue, or 0."""
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
