"""What tasks wait for without moving, and the tasks and failures that refer to it. Nothing is hooked.

`sync_scan` reports the wait of each task. Once nothing has moved at an object for a while, the variables of the other
tasks, and the frames that the exceptions of ended tasks keep, are searched for references to it: whatever holds one
could move it, or should have. `gc.get_referents` visits variables without side effects; no code of the program runs.
"""

from __future__ import annotations

from itertools import islice
from time import monotonic, thread_time
from typing import TYPE_CHECKING, Any

from ..base import sites
from ..base.task_facts import coro_name, coro_of, is_done, task_name
from ..base.turns import turns
from ..hooks import install, reading
from ..hooks.reading import hold, referents
from .awaited_objects import ROOM, AwaitedObject, Waiter, figures_of, label_of, reached
from .detail import held_locks, wait_of
from .orphans import MOST_FAILED, Orphans
from .own_refs import OwnRef
from .queues import MOST_TEXT, chain, of_each

if TYPE_CHECKING:
    import weakref
    from collections.abc import Iterator
    from types import CodeType

    from ..base.sites import Tables
    from ..hooks.records import TaskRecord
    from .queues import ObjectIds
    from .waits import Wait

KINDS = {"event", "condition", "future", "queue", "lock", "semaphore", "subprocess"}
MOST_OBJECTS = 2_000
MOST_REPORTED = 20
MOST_LISTED = 20
"""Most waiters, holders and ended tasks of one object."""
MOST_ENDED = 5_000
STILL = 4.0
"""Seconds without any movement after which an object is reported."""
_EVERY = 4
"""Number of looks between two searches for holders."""
_SHARE, _UNWATCHED_SHARE = 100, 2_000
"""These searches take at most this fraction (1/N) of a core, so that with many tasks the waits are still read often."""
_OUTSIDE = {"future", "queue", "socket"}
"""Kinds of waits of tasks that serve: they go on when something comes, and may then call any method they name."""

ENTERED, NAMED = 1, 2
"""How a task holds an object: inside `async with`, or in a variable or an attribute of one."""


class Stuck:
    """The objects that tasks wait for, by what moved there since the look before."""

    def __init__(self, numbers: ObjectIds, tables: Tables) -> None:
        self._numbers = numbers
        self._tables = tables
        self._waiters: dict[int, Waiter] = {}  # by task
        self._objects: dict[int, AwaitedObject] = {}  # by id()
        self._failed: list[list[Any]] = []
        self._orphans = Orphans()
        self._look = 0
        self._watched = True
        self._due = 0.0
        self._spent = 0.0

    def clear(self) -> None:
        """Forgets all of them."""
        self._waiters.clear()
        self._objects.clear()
        self._failed.clear()
        self._orphans.clear()
        self._due = 0.0

    def begin(self, watched: bool = True) -> None:
        """Start a new scan; `watched`: a viewer asked for it."""
        self._look += 1
        if watched and not self._watched:
            self._due = 0.0
        self._watched = watched
        self._orphans.watch(watched)

    def keep(self, record: TaskRecord) -> None:
        """A task that has made no step since it was read: it still waits for the same."""
        waiter = self._waiters.get(record.id)
        if waiter is not None and waiter.steps == record.steps:
            waiter.look = self._look

    @property
    def spent(self) -> float:
        """CPU time of the searches (s), which have limits of their own."""
        return self._orphans.spent + self._spent

    def meet(self, record: TaskRecord, wait: Wait, coro: Any, line: int) -> None:
        """Takes in what a task waits for."""
        waited = wait.waited
        if wait.kind in ("task", "gather"):
            self._wait(record, 0, line)
            return
        if wait.kind not in KINDS or waited is None:
            return
        key = id(waited)
        known = self._objects.get(key)
        if known is None or known.ref() is not waited:
            if len(self._objects) >= MOST_OBJECTS:
                return
            try:
                known = self._objects[key] = AwaitedObject(OwnRef(waited), self._numbers.of(waited), wait)
            except TypeError:  # it cannot be referred to weakly
                return
            known.label, known.self_feeding = label_of(waited, coro, known)
        if self._wait(record, key, line):
            known.moved = monotonic()
        op = str(wait.facts.get("op") or "")
        if known.op != op:
            known.set_op(op)
            known.moved = monotonic()

    def _wait(self, record: TaskRecord, key: int, line: int) -> bool:
        """A task waits; True if it was woken and waits for the same again."""
        waiter = known = self._waiters.get(record.id)
        if waiter is None or waiter.key != key or waiter.steps != record.steps:
            waiter = self._waiters[record.id] = Waiter(key, record.steps, line, self._look)
        waiter.look = self._look
        return known is not None and known is not waiter and known.key == key

    def settle(self) -> None:
        """All tasks are read: those that were not met again wait no more."""
        now = monotonic()
        for number, waiter in turns.over(list(self._waiters.items())):
            if waiter.look != self._look:
                del self._waiters[number]
                if waiter.key in self._objects:
                    self._objects[waiter.key].moved = now
        used = {waiter.key for waiter in turns.over(self._waiters.values())}
        self._objects = {key: one for key, one in self._objects.items() if key in used and one.ref() is not None}

    def search(self, records: list[TaskRecord]) -> Iterator[None]:
        """Searches for holders of the objects that do not move, and for failures that were never retrieved."""
        ended = _ended_tasks()
        now = monotonic()
        steps = {number: one.steps for number, one in turns.over(self._waiters.items()) if now - one.since >= STILL}
        yield from self._orphans.search(records, steps, ended[:MOST_FAILED])
        still = {key: self._objects[key] for key, _ in self._still()[:MOST_REPORTED]}
        known = all(one.searched >= one.moved for one in still.values())
        if (known and self._look % _EVERY) or monotonic() < self._due:
            return
        began = self._spent
        yield from self._timed(self._search(records, ended, still))
        self._due = monotonic() + (_SHARE if self._watched else _UNWATCHED_SHARE) * (self._spent - began)

    def _timed(self, steps: Iterator[None]) -> Iterator[None]:
        """Passes the slices of a search on, and adds up their CPU time."""
        cpu = thread_time()
        for _ in steps:
            self._spent += thread_time() - cpu
            yield
            cpu = thread_time()
        self._spent += thread_time() - cpu

    def _search(
        self, records: list[TaskRecord], ended: list[weakref.ref[Any]], still: dict[int, AwaitedObject]
    ) -> Iterator[None]:
        began = monotonic()
        for one in still.values():
            one.holders, one.ended = {}, []
        self._failed = []
        yield from self._search_ended(ended, still)
        if still:

            def search(task: Any, number: int) -> None:
                self._search_task(task, number, still)

            yield from of_each(records, search)
        for one in still.values():
            one.searched = began

    def _still(self) -> list[tuple[int, list[int]]]:
        """The objects at which nothing has moved for a while, with the tasks that wait; those with most first.

        Futures that nothing alive refers to are one entry for all that wait at one line.
        """
        now = monotonic()
        tasks: dict[int, list[int]] = {}
        for number, waiter in turns.over(self._waiters.items()):
            tasks.setdefault(waiter.key, []).append(number)
        orphans = self._orphans.tasks
        found = []
        by_line: dict[int, tuple[int, list[int]]] = {}
        for key, waiting in tasks.items():
            one = self._objects.get(key)
            if one is None or now - self._since(one, waiting) < STILL:
                continue
            if one.kind == "future" and not orphans.isdisjoint(waiting):
                first = by_line.setdefault(self._waiters[waiting[0]].line, (key, waiting))
                if first[0] != key:
                    first[1].extend(waiting)
                    continue
            found.append((key, waiting))
        return sorted(found, key=lambda entry: (orphans.isdisjoint(entry[1]), -len(entry[1])))

    def _since(self, one: AwaitedObject, waiting: list[int]) -> float:
        """Since when nothing has moved: later arrivals do not count, what left does."""
        return max(one.moved, min(self._waiters[number].since for number in waiting))

    # Holders

    def _search_task(self, task: Any, number: int, still: dict[int, AwaitedObject]) -> None:
        waiter = self._waiters.get(number)
        own = 0 if waiter is None else waiter.key
        for coro in chain(coro_of(task)):
            place = reading.own_place(coro)
            if place is None or sites.is_stdlib(place[0].co_filename):
                continue
            code, line, _ = place
            found = dict.fromkeys((id(lock) for lock in held_locks(coro) if id(lock) in still), ENTERED)
            for key in reached(referents(coro), still):
                found.setdefault(key, NAMED)
            for key, how in found.items():
                if key != own:
                    self._add_holder(still[key], task, number, how, code, line)

    def _add_holder(self, one: AwaitedObject, task: Any, number: int, how: int, code: CodeType, line: int) -> None:
        wait = wait_of(task, named=False)
        moves = not one.moves.isdisjoint(code.co_names)
        if wait is not None and wait.kind in _OUTSIDE and wait.facts.get("op") != "serve":
            # What comes next may make it call a method that moves; a task that only started others does not wait so.
            moves = moves or not one.methods.isdisjoint(code.co_names)
        known = one.holders.get(number)
        if known is not None:
            known[1] = min(known[1], how)
            known[4] = known[4] or moves
        elif len(one.holders) < MOST_LISTED:
            text = "" if wait is None else f"{wait.kind} {wait.text}"[:MOST_TEXT]
            one.holders[number] = [number, how, self._tables.site(code, line), task.cancelling(), moves, text]

    def _search_ended(self, ended: list[weakref.ref[Any]], still: dict[int, AwaitedObject]) -> Iterator[None]:
        """Ended tasks that something still refers to: their failures, and what the frames of these refer to."""
        for ref in ended:
            if turns.due():
                yield
            try:
                reading.read(ref, self._read_ended, still)
            except Exception:
                continue

    def _read_ended(self, task: Any, still: dict[int, AwaitedObject]) -> None:
        # `_exception` is a plain read: `exception()` would mark it as retrieved.
        error = hold(task._exception) if is_done(task) else None
        if error is not None:
            self._read_failure(task, error, still)

    def _read_failure(self, task: Any, error: BaseException, still: dict[int, AwaitedObject]) -> None:
        site, keys = 0, set()
        traceback = hold(error.__traceback__)
        for _ in range(ROOM):
            if traceback is None:
                break
            frame, line = hold(traceback.tb_frame), traceback.tb_lineno
            if sites.plumbing[frame.f_code.co_filename] == sites.USER:
                site = self._tables.site(frame.f_code, line)
                keys.update(reached(referents(frame), still))
            traceback = hold(traceback.tb_next)
        row = [task_name(task), coro_name(task), type(error).__qualname__, _message(error), site]
        for key in keys:
            if len(still[key].ended) < MOST_LISTED:
                still[key].ended.append(row)
        if task._log_traceback and len(self._failed) < MOST_LISTED:
            record = install.record_of(task)
            self._failed.append([self._numbers.of(task), 0 if record is None else record.id, *row])

    # Rows

    def facts(self) -> dict[str, Any]:
        """The rows `stuck` and `failed` of a tick."""
        now = monotonic()
        rows = []
        for key, waiting in self._still()[:MOST_REPORTED]:
            one = self._objects[key]
            orphaned = not self._orphans.tasks.isdisjoint(waiting)
            if one.searched < one.moved and not orphaned:
                continue  # its holders are not known yet
            try:
                figures = reading.read(one.ref, figures_of, one.kind)
            except Exception:  # a class of the program keeps it elsewhere
                figures = 0, 0, 0
            if figures is None:
                continue
            size, limit, pid = figures
            listed = [[number, self._waiters[number].line] for number in sorted(waiting)[:MOST_LISTED]]
            since = round((now - self._since(one, waiting)) * 1e6)
            holders = list(one.holders.values())
            row = [one.number, one.kind, one.op, one.label, since, len(waiting), listed, holders, one.ended]
            doing, idle = ("", 0.0) if one.child is None else one.child.look(pid, size, now)
            rows.append([*row, size, limit, pid, one.self_feeding, orphaned, doing, round(idle * 1e6)])
        return {"stuck": rows, "failed": list(self._failed)}


def _ended_tasks() -> list[weakref.ref[Any]]:
    """The ended tasks that something refers to, as far as asyncio lists them: 3.14 does not."""
    # In one piece: it runs no code of Python.
    return [ref for data in reading.task_sets()[:1] for ref in list(islice(data, MOST_ENDED))]


def _message(error: BaseException) -> str:
    """The message of an exception if it is text: `str` might run code of the program."""
    text = error.args[0] if len(error.args) == 1 else ""
    return text[:MOST_TEXT] if type(text) is str else ""
