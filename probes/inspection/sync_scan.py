"""Observations behind findings: locks and their holders, queues, executors, semaphores, swallowed cancellations.

Read once a second while a viewer asks for findings, rarely for the black box, in slices, from the probe's thread;
nothing is hooked, and no code of the program runs. Locks are found through the tasks that wait for them.
"""

from __future__ import annotations

import asyncio
import sys
from time import monotonic, thread_time
from typing import TYPE_CHECKING, Any

from ..base import sites
from ..base.task_facts import coro_of, is_done
from ..base.turns import turns
from ..hooks import cancellation, install, reading
from ..hooks.groups import groups
from ..hooks.reading import hold, referents
from ..sampling import gil_wait
from ..sampling.callback_stack import describe, stack_of
from . import executors, waits
from .detail import held_locks, number_of
from .own_refs import OwnRef
from .queues import MOST_ROWS, MOST_TEXT, ObjectIds, SyncObjects, chain, of_each
from .stuck import Stuck

if TYPE_CHECKING:
    import weakref
    from collections.abc import Generator, Iterator

    from ..base.sites import Tables
    from ..hooks.loops import Loops
    from ..hooks.reading import Place
    from ..hooks.records import TaskRecord
    from ..sampling.watchdog import Watchdog

MOST_TASKS = 20_000
MOST_WAITERS = 50
_SLICE = 4
"""Tasks that are read between two looks at the clock."""
_SKIPPED = 0.02
"""The cost of a task that is skipped, relative to one that is read."""
_TURN = 0.06
"""Seconds of scanning after which viewers are served."""
_AGAIN = 10
"""Number of looks after which a task is read again although it has made no step."""
_SHARE = 50
"""Scanning takes at most this fraction (1/N) of a core."""
MOST_UNWATCHED = 2_000
_UNWATCHED_EVERY, _IDLE_EVERY, _RESTING_EVERY = 10.0, 30.0, 300.0
_IDLE_LOOKS = 8
"""Looks at an idle program after which there is nothing new to find until it does something."""
_UNWATCHED_TURN = 0.01
_UNWATCHED_SHARE = 1000
_BLOCKED = 0.5
_GROUPS_COUNT = sys.version_info < (3, 13)
"""A TaskGroup cancels the task that waits for it when another of its tasks fails. Until 3.12 `cancelling()` of the
task goes on counting that, although the group has raised the failure instead (gh-116720)."""


class _Lock:
    """A lock with waiting tasks. Held weakly, since the program runs during a look."""

    __slots__ = ("holder", "number", "ref", "site", "tasks", "waiters")

    def __init__(self, lock: Any, number: int) -> None:
        self.ref = OwnRef(lock)
        self.number = number
        self.holder = self.site = 0
        self.tasks: set[int] = set()  # ids of the waiting tasks
        self.waiters: list[list[int]] = []


class _Seen:
    """The results of a look so far."""

    __slots__ = ("at", "awaits", "cancellers", "locks", "queued", "swallowed_cancels", "waited")

    def __init__(self) -> None:
        self.at = monotonic()
        self.locks: dict[int, _Lock] = {}  # by id
        self.awaits: dict[int, list[int]] = {}
        self.swallowed_cancels: list[list[int]] = []
        self.cancellers: list[list[Any]] = []
        self.queued: dict[int, tuple[weakref.ref[Any], float]] = {}  # queued jobs of executors, and since when
        self.waited = 0.0


class SyncScanner:
    """Scans the program and keeps the newest results. `facts` is the `sync_scan` of a tick."""

    def __init__(self, all_loops: Loops, tables: Tables, watchdog: Watchdog) -> None:
        self._loops = all_loops
        self._watchdog = watchdog
        self._tables = tables
        self._numbers = ObjectIds()
        self._things = SyncObjects(self._numbers, tables)
        self._stuck = Stuck(self._numbers, tables)
        self._queued: dict[int, tuple[weakref.ref[Any], float]] = {}
        self._calm: dict[int, tuple[int, list[int] | None]] = {}  # by task: its steps, and the tasks it awaits
        self._under_way: Generator[None, None, dict[str, Any]] | None = None
        self._spent = 0.0  # CPU time of the current look (s)
        self._ended = 0.0  # when it ended
        self._idle_looks = 0  # in a row, at an idle program
        self.number = 0
        self.facts: dict[str, Any] = {}

    def scan(self, now: float, watched: bool = True, idle: bool = False) -> None:
        """Continues a look, or starts one if it is due; with many tasks a look takes several calls.

        `watched`: a viewer asked for findings. Otherwise, for the black box, looks are rare, and at fewer tasks; even
        more so if the program is `idle`, and most of all once it has been for minutes.
        """
        if self._under_way is None:
            every, share = 1.0, _SHARE
            if not watched:  # the first looks soon: a program may fail early
                most_every = _UNWATCHED_EVERY
                if idle:
                    most_every = _IDLE_EVERY if self._idle_looks < _IDLE_LOOKS else _RESTING_EVERY
                every, share = min(2.0 ** min(self.number, 9), most_every), _UNWATCHED_SHARE
            if self._ended and now < self._ended + max(every, share * self._spent) - 0.05:
                return
            self._idle_looks = self._idle_looks + 1 if idle and not watched else 0
            most = MOST_TASKS if watched else MOST_UNWATCHED
            self._under_way, self._spent = self._scan(most, watched), 0.0
        turn, cpu = monotonic(), thread_time() - self._stuck.spent  # the limit is on this thread's own CPU time
        try:
            while monotonic() - turn < (_TURN if watched else _UNWATCHED_TURN):
                next(self._under_way)
                turns.give()
        except StopIteration as ended:
            self.facts = ended.value
            self.number += 1
            self._under_way = None
            turns.give()
        self._spent += thread_time() - self._stuck.spent - cpu
        if self._under_way is None:
            self._ended = turn

    def stop(self) -> None:
        """Drops all results: no viewer asks for findings any more."""
        self._things.clear()
        self._stuck.clear()
        self._queued.clear()
        self._calm.clear()
        self._under_way = None
        self.facts = {}
        self._ended = 0.0

    def _scan(self, most: int, watched: bool) -> Generator[None, None, dict[str, Any]]:
        """A look in slices, which keeps no object of the program alive in between."""
        seen = _Seen()
        self._stuck.begin(watched)
        records = list(install.walk(install.records, most))
        yield from self._read_tasks(records, seen)
        if seen.locks:
            yield from self._find_holders(records, seen.locks)
        yield from self._things.search(records)
        yield from self._stuck.search(records)
        yield
        rows = sorted(seen.locks.values(), key=lambda lock: -len(lock.tasks))[:MOST_ROWS]
        return {
            "locks": [[one.number, len(one.tasks), one.holder, one.site, one.waiters] for one in rows],
            "awaits": _chains(rows, seen.awaits),
            "cancelled": seen.swallowed_cancels[:MOST_ROWS],
            "cancellers": seen.cancellers[:MOST_ROWS],
            "executors": executors.rows_of(self._numbers, seen.waited),
            "timers": self._timers(),
            "blocked": self._blocked(),
            "gil": self._waits_for_the_gil(),
            "responses": _failing_responses(),
            **self._things.sizes(),
            **self._stuck.facts(),
        }

    # Tasks

    def _read_tasks(self, records: list[TaskRecord], seen: _Seen) -> Iterator[None]:
        price = 0.0
        calm: dict[int, tuple[int, list[int] | None]] = {}
        for record in records:
            if price >= _SLICE:
                price = 0.0
                yield
            price += _SKIPPED
            known = self._calm.get(record.id)
            if known is not None and known[0] == record.steps and (record.id + self.number) % _AGAIN:
                # It has not stepped since it was found to wait for nothing of interest.
                calm[record.id] = known
                self._stuck.keep(record)
                if known[1] is not None:
                    seen.awaits[record.id] = known[1]
                continue
            price += 1
            try:
                steps = record.steps
                if reading.read(record, self._read_task, record, seen):
                    calm[record.id] = steps, seen.awaits.get(record.id)
            except Exception:  # the task changed while it was read
                continue
        self._calm, self._queued = calm, seen.queued
        self._stuck.settle()

    def _read_task(self, task: Any, record: TaskRecord, seen: _Seen) -> bool:
        """Reads the wait of one task; True if it cannot change without a step of the task."""
        leaf = None if is_done(task) else hold(task._fut_waiter)
        if leaf is None or is_done(leaf):
            return False
        coro = hold(coro_of(task))
        frames = reading.frames_of(task)
        wait = waits.read(frames, leaf, named=False)
        if wait is None:
            return False
        calm = not task.cancelling()
        if not calm and not task._must_cancel and not _on_its_way(leaf) and not _continues(record, task, coro):
            seen.swallowed_cancels.append([record.id, task.cancelling(), self._line(frames)])
            seen.cancellers += [
                [record.id, by] for by in cancellation.facts(cancellation.of(record, task), self._tables).values()
            ]
        self._stuck.meet(record, wait, coro, self._line(frames))
        if wait.kind == "lock":
            self._add_waiter(wait.waited, record.id, self._line(frames), seen.locks)
            return False
        if wait.kind in ("queue", "semaphore"):
            self._things.meet(wait.waited, "waited for by", frames)
        elif wait.tasks and not wait.text.startswith("wait:"):  # asyncio.wait may return after one of them
            behind = [number_of(other) for other in wait.tasks[:MOST_WAITERS]]
            seen.awaits[record.id] = [number for number in behind if number is not None]
        elif wait.kind == "executor" and not wait.facts.get("running"):
            known = self._queued.get(id(wait.waited))
            since = known[1] if known is not None and known[0]() is wait.waited else seen.at
            seen.queued[id(wait.waited)] = OwnRef(wait.waited), since
            seen.waited = max(seen.waited, seen.at - since)
            return False
        return calm

    def _add_waiter(self, lock: Any, task: int, line: int, locks: dict[int, _Lock]) -> None:
        known = locks.get(id(lock))
        if known is None or known.ref() is not lock:
            known = locks[id(lock)] = _Lock(lock, self._numbers.of(lock))
        known.tasks.add(task)
        if len(known.waiters) < MOST_WAITERS:
            known.waiters.append([task, line])

    def _line(self, frames: list[Place]) -> int:
        """The innermost line of user code."""
        for code, line, _ in reversed(frames):
            if sites.plumbing[code.co_filename] == sites.USER:
                return self._tables.site(code, line)
        return self._tables.site(frames[-1][0], frames[-1][1]) if frames else 0

    def _find_holders(self, records: list[TaskRecord], locks: dict[int, _Lock]) -> Iterator[None]:
        """The tasks inside `async with lock`: `__aexit__` lies on the stack of a frame (see `detail.holder_of`)."""

        def find_held(task: Any, number: int) -> None:
            self._find_held(task, number, locks)

        return of_each(records, find_held)

    def _find_held(self, task: Any, number: int, locks: dict[int, _Lock]) -> None:
        waits_for = {key for key, lock in locks.items() if number in lock.tasks}
        for coro in chain(coro_of(task)):
            for lock in held_locks(coro):
                if id(lock) in waits_for:
                    waits_for.discard(id(lock))  # a task waiting in `async with` has `__aexit__` on its stack, too
                    continue
                found = locks.get(id(lock))
                if found is not None and not found.holder and found.ref() is lock:
                    found.holder = number
                    found.site = self._held_at(coro)

    def _held_at(self, coro: Any) -> int:
        own = reading.own_place(coro)
        return 0 if own is None else self._tables.site(own[0], own[1])

    # Timers, loops

    def _timers(self) -> list[list[Any]]:
        """The functions that the timers of each loop call, from a sample of the timers."""
        rows = []
        for loop, record in self._loops.all():
            timers = getattr(loop, "_scheduled", None)
            if not isinstance(timers, list) or len(timers) < 100:
                continue
            counts: dict[str, int] = reading.read(record.ref, _timers_of) or {}
            most = sorted(counts.items(), key=lambda entry: -entry[1])[:5]
            rows.append([record.id, len(timers), [[name, number] for name, number in most]])
        return rows

    def _blocked(self) -> list[list[Any]]:
        """The current stacks of the loops that are blocked now."""
        rows = []
        now = monotonic()
        for record in list(install.loops.values()):
            started = record.started
            if not started or now - started < _BLOCKED:
                continue
            stack = stack_of(reading.thread_stack(record.thread), record.depth)
            if record.started == started and stack:
                lines = [self._tables.site(code, line) for code, line in stack]
                starved = self._watchdog.starved.so_far(record, started).starved
                facts = [round((now - started) * 1e6), round(starved * 1e6)]
                rows.append([record.id, *facts, lines, sites.blamed(list(stack))])
        return rows

    def _waits_for_the_gil(self) -> list[list[Any]]:
        """How long the running callbacks have waited for the GIL so far."""
        rows = []
        for record in list(install.loops.values()):
            wait = self._watchdog.gil.so_far(record, record.started)
            if wait is not None:
                rows.append([record.id, *gil_wait.facts(wait, self._tables).values()])
        return rows


def _failing_responses() -> list[list[Any]]:
    """The groups with failed responses: coroutine, label, responses, errors, and for how long (µs) they are counted."""
    failing = [group for group in list(groups.by_number.values()) if group.errors]
    failing.sort(key=lambda group: -group.errors)
    counted = round((monotonic() - groups.since) * 1e6)
    return [
        [group.coro[:MOST_TEXT], (group.label or "")[:MOST_TEXT], group.responses, group.errors, counted]
        for group in failing[:MOST_ROWS]
    ]


def _timers_of(loop: Any) -> dict[str, int]:
    """How often some of a loop's timers call what."""
    counts: dict[str, int] = {}
    timers = loop._scheduled
    for timer in reading.hold_all(timers[:: max(len(timers) // 200, 1)]):
        callback = hold(getattr(timer, "_callback", None))
        if callback is not None:
            name = describe(callback)[:MOST_TEXT]
            counts[name] = counts.get(name, 0) + 1
    return counts


def _on_its_way(leaf: Any) -> bool:
    """Whether a cancellation of the task was passed on to what it waits on and has not arrived back yet."""
    if isinstance(leaf, asyncio.Task):
        return bool(leaf.cancelling() or leaf._must_cancel)  # type: ignore[attr-defined]
    return bool(getattr(leaf, "_cancel_requested", False)) or not isinstance(leaf, asyncio.Future)


def _continues(record: TaskRecord, task: Any, coro: Any) -> bool:
    """Whether a cancelled task is right to be still there: it cleans up, or its own TaskGroup cancelled it."""
    if _cleans_up(coro):
        return True
    by = cancellation.of(record, task)
    if by is not None or not _GROUPS_COUNT:
        return by is not None and by.owner == record.id
    codes = (getattr(one, "cr_code", None) or getattr(one, "ag_code", None) for one in chain(coro))
    return any("TaskGroup" in code.co_names for code in codes if code is not None)


def _cleans_up(coro: Any) -> bool:
    """Whether a task is inside the `except` or `finally` of a CancelledError, or still refers to one."""
    return any(issubclass(type(held), asyncio.CancelledError) for one in chain(coro) for held in referents(one))


def _chains(locks: list[_Lock], awaits: dict[int, list[int]]) -> list[list[Any]]:
    """The tasks that lock holders await, directly and indirectly."""
    rows: dict[int, list[int]] = {}
    pending = [lock.holder for lock in locks if lock.holder]
    while pending and len(rows) < MOST_ROWS:
        task = pending.pop()
        if task in awaits and task not in rows:
            rows[task] = awaits[task]
            pending += awaits[task]
    return [[task, behind] for task, behind in rows.items()]
