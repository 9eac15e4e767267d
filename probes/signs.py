"""What findings are made of and nothing else tells: locks and who holds them, queues, pools, semaphores, cancellations.

Read once a second while a viewer asks for findings, in slices, from the probe's thread; nothing is hooked. Locks are
met through the tasks that wait for them. Queues and semaphores are met where a task waits on them, has them in a
local variable, in an attribute of an object there, or in a global of its module: `gc.get_referents` of a coroutine
visits its variables without touching them (`f_locals` would keep them alive). No code of the program is run.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from itertools import count
from time import monotonic, sleep, thread_time
from types import AsyncGeneratorType, CellType, CoroutineType, ModuleType
from typing import TYPE_CHECKING, Any

from . import cancels, hot, sites, waits
from .detail import entered, number_of
from .slow import describe, stack_of
from .stacks import frames_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from types import CodeType

    from .loops import Loops
    from .records import TaskRecord
    from .sites import Tables
    from .stacks import StackFrame
    from .starved import Starved

MOST_TASKS = 20_000
MOST_ROWS = 100
MOST_WAITERS = 50
MOST_THINGS = 2_000
MOST_TEXT = 120
SEARCHED = 100
"""Tasks whose variables are searched in one look; the others come with the next looks."""
_SLICE = 50
_SKIPPED = 0.02
"""What a task that is not read again costs, as a part of one that is."""
_TURN = 0.06
"""Seconds of a look between which viewers are served."""
_AGAIN = 10
"""Looks after which a task is read again although it has made no step."""
_SHARE = 50
"""Looking takes one part of so many of a core at most."""
_BLOCKED = 0.5
_ROOM = 50
"""Attributes of an object that are looked at."""


class Thing:
    """A queue or a semaphore that was met. Held weakly."""

    __slots__ = ("feeds_itself", "label", "number", "ref", "site")

    def __init__(self, thing: Any, number: int, label: str, site: int) -> None:
        self.ref = weakref.ref(thing)
        self.number = number
        self.label = label
        self.site = site
        self.feeds_itself = False  # who gets from it puts into it, too: a crawl, which grows and ends


class _Lock:
    """A lock that somebody waits for. Held weakly: the program runs while a look lasts."""

    __slots__ = ("holder", "number", "ref", "site", "tasks", "waiters")

    def __init__(self, lock: Any, number: int) -> None:
        self.ref = weakref.ref(lock)
        self.number = number
        self.holder = self.site = 0
        self.tasks: set[int] = set()  # that wait for it
        self.waiters: list[list[int]] = []


class _Seen:
    """What a look has found so far."""

    __slots__ = ("at", "awaits", "cancellers", "locks", "queued", "waited", "went_on")

    def __init__(self) -> None:
        self.at = monotonic()
        self.locks: dict[int, _Lock] = {}  # by id
        self.awaits: dict[int, list[int]] = {}
        self.went_on: list[list[int]] = []
        self.cancellers: list[list[Any]] = []
        self.queued: dict[int, tuple[weakref.ref[Any], float]] = {}  # futures of pools: since when
        self.waited = 0.0


class Signs:
    """The newest look. `facts` is the `signs` of a tick."""

    def __init__(self, all_loops: Loops, tables: Tables, starved: Starved) -> None:
        self._loops = all_loops
        self._starved = starved
        self._tables = tables
        self._next_number = count(1).__next__
        self._numbers: dict[int, tuple[weakref.ref[Any], int]] = {}  # by id: a hash may be code of the program's
        self._things: dict[int, Thing] = {}  # by id
        self._modules: set[int] = set()
        self._place = 0
        self._queued: dict[int, tuple[weakref.ref[Any], float]] = {}
        self._calm: dict[int, tuple[int, list[int] | None]] = {}  # task: its steps, and whom it awaits
        self._under_way: Generator[None, None, dict[str, Any]] | None = None
        self._spent = 0.0  # CPU of the look that is under way (s)
        self.due = 0.0
        self.number = 0
        self.facts: dict[str, Any] = {}

    def look(self, now: float) -> None:
        """Goes on with a look, or begins one if it is time to; a crowd takes several turns."""
        if self._under_way is None:
            if now < self.due:
                return
            self._under_way, self._spent = self._look(), 0.0
        turn, cpu = monotonic(), thread_time()  # what others took meanwhile is not ours
        try:
            while monotonic() - turn < _TURN:
                next(self._under_way)
                sleep(0)  # see `detail.undisturbed`
        except StopIteration as ended:
            self.facts = ended.value
            self.number += 1
            self._under_way = None
        self._spent += thread_time() - cpu
        if self._under_way is None:
            self.due = turn + max(1.0, _SHARE * self._spent) - 0.05

    def stop(self) -> None:
        """Nobody asks any more."""
        self._things.clear()
        self._modules.clear()
        self._queued.clear()
        self._calm.clear()
        self._under_way = None
        self.facts = {}
        self.due = 0.0

    def _look(self) -> Generator[None, None, dict[str, Any]]:
        """A look in slices; nothing of the program's is held between them."""
        seen = _Seen()
        records = list(hot.records.values())[:MOST_TASKS]
        yield from self._read_tasks(records, seen)
        if seen.locks:
            yield from self._find_holders(records, seen.locks)
        yield from self._search(records)
        rows = sorted(seen.locks.values(), key=lambda lock: -len(lock.tasks))[:MOST_ROWS]
        return {
            "locks": [[one.number, len(one.tasks), one.holder, one.site, one.waiters] for one in rows],
            "awaits": _chains(rows, seen.awaits),
            "cancelled": seen.went_on[:MOST_ROWS],
            "cancellers": seen.cancellers[:MOST_ROWS],
            "executors": self._executors(seen.waited),
            "timers": self._timers(),
            "blocked": self._blocked(),
            **self._sizes(),
        }

    # Tasks

    def _read_tasks(self, records: list[TaskRecord], seen: _Seen) -> Iterator[None]:
        task: Any = None
        price = 0.0
        calm: dict[int, tuple[int, list[int] | None]] = {}
        for record in records:
            if price >= _SLICE:
                price, task = 0.0, None
                yield
            price += _SKIPPED
            known = self._calm.get(record.id)
            if known is not None and known[0] == record.steps and (record.id + self.number) % _AGAIN:
                # It has not stepped since it was found to wait for nothing that matters here.
                calm[record.id] = known
                if known[1] is not None:
                    seen.awaits[record.id] = known[1]
                continue
            price += 1
            task = record()
            if task is None or task.done():
                continue
            try:
                steps = record.steps
                if self._read_task(task, record, seen):
                    calm[record.id] = steps, seen.awaits.get(record.id)
            except Exception:  # it changed while it was read
                continue
        self._calm, self._queued = calm, seen.queued

    def _read_task(self, task: Any, record: TaskRecord, seen: _Seen) -> bool:
        """Reads what one task waits for; True when that is nothing that can change without a step of it."""
        leaf = task._fut_waiter
        if leaf is None or leaf.done():
            return False
        coro = task.get_coro()
        frames = frames_of(coro)
        wait = waits.read(frames, leaf)
        if wait is None:
            return False
        calm = not task.cancelling()
        if not calm and not task._must_cancel and not _on_its_way(leaf) and not _cleans_up(coro):
            seen.went_on.append([record.id, task.cancelling(), self._line(frames)])
            seen.cancellers += [
                [record.id, by] for by in cancels.facts(cancels.of(record, task), self._tables).values()
            ]
        if wait.kind == "lock":
            self._add_waiter(wait.waited, record.id, self._line(frames), seen.locks)
            return False
        if wait.kind in ("queue", "semaphore"):
            self._meet(wait.waited, "waited for by", frames)
        elif wait.tasks and not wait.text.startswith("wait:"):  # which may be content with one of them
            behind = [number_of(other) for other in wait.tasks[:MOST_WAITERS]]
            seen.awaits[record.id] = [number for number in behind if number is not None]
        elif wait.kind == "executor" and not wait.facts.get("running"):
            known = self._queued.get(id(wait.waited))
            since = known[1] if known is not None and known[0]() is wait.waited else seen.at
            seen.queued[id(wait.waited)] = weakref.ref(wait.waited), since
            seen.waited = max(seen.waited, seen.at - since)
            return False
        return calm

    def _add_waiter(self, lock: Any, task: int, line: int, locks: dict[int, _Lock]) -> None:
        known = locks.get(id(lock))
        if known is None or known.ref() is not lock:
            known = locks[id(lock)] = _Lock(lock, self._number_of(lock))
        known.tasks.add(task)
        if len(known.waiters) < MOST_WAITERS:
            known.waiters.append([task, line])

    def _line(self, frames: list[StackFrame]) -> int:
        """The innermost line of the user's."""
        for code, line, _ in reversed(frames):
            if sites.plumbing[code.co_filename] == sites.USER:
                return self._tables.site(code, line)
        return self._tables.site(frames[-1][0], frames[-1][1]) if frames else 0

    def _number_of(self, thing: Any) -> int:
        known = self._numbers.get(id(thing))
        if known is not None and known[0]() is thing:
            return known[1]
        if len(self._numbers) >= 4 * MOST_THINGS:
            self._numbers = {key: entry for key, entry in self._numbers.items() if entry[0]() is not None}
        number = self._next_number()
        self._numbers[id(thing)] = weakref.ref(thing), number
        return number

    def _find_holders(self, records: list[TaskRecord], locks: dict[int, _Lock]) -> Iterator[None]:
        """Who is inside `async with`: the bound `__aexit__` lies on the stack of a frame (see `detail.holder_of`)."""
        task: Any = None
        for number, record in enumerate(records):
            if number % _SLICE == 0:
                task = None
                yield
            task = record()
            if task is None or task.done():
                continue
            try:
                self._find_held(task, record.id, locks)
            except Exception:
                continue

    def _find_held(self, task: Any, number: int, locks: dict[int, _Lock]) -> None:
        waits_for = {key for key, lock in locks.items() if number in lock.tasks}
        for coro in _chain(task.get_coro()):
            for lock in _held(coro):
                if id(lock) in waits_for:
                    waits_for.discard(id(lock))  # who waits in `async with` has the `__aexit__` on its stack already
                    continue
                found = locks.get(id(lock))
                if found is not None and not found.holder and found.ref() is lock:
                    found.holder = number
                    found.site = self._held_at(coro)

    def _held_at(self, coro: Any) -> int:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "ag_frame", None)
        if frame is None:
            return 0
        return self._tables.site(frame.f_code, frame.f_lineno or frame.f_code.co_firstlineno)

    # Queues and semaphores

    def _search(self, records: list[TaskRecord]) -> Iterator[None]:
        """Looks for things in the variables of some tasks, others each time."""
        task: Any = None
        self._place = self._place if self._place < len(records) else 0
        chosen = records[self._place : self._place + SEARCHED]
        self._place += SEARCHED
        for number, record in enumerate(chosen):
            if number % (_SLICE // 2) == 0:
                task = None
                yield
            task = record()
            if task is None or task.done():
                continue
            try:
                for coro in _chain(task.get_coro()):
                    self._search_in(coro)
            except Exception:
                continue

    def _search_in(self, coro: Any) -> None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "ag_frame", None)
        if frame is None or sites.plumbing[frame.f_code.co_filename] != sites.USER:
            return
        code, line = frame.f_code, frame.f_lineno or frame.f_code.co_firstlineno
        names = frame.f_globals
        if id(names) not in self._modules and len(self._modules) < MOST_THINGS:
            self._modules.add(id(names))
            module = names.get("__name__")
            for name, value in list(names.items())[: _ROOM * 20]:
                if _is_thing(value):
                    self._add(value, f"{name} of {module}", code, line)
        frame = names = None
        for variable in gc.get_referents(coro):
            held = _in_cell(variable) if type(variable) is CellType else variable
            if _is_thing(held):
                self._add(held, f"of {code.co_qualname}()", code, line)
            elif _may_hold(held):
                self._search_object(held, code, line)

    def _search_object(self, owner: Any, code: CodeType, line: int) -> None:
        label = f"of {type(owner).__qualname__}"
        for held in gc.get_referents(owner)[:_ROOM]:
            if _is_thing(held):
                self._add(held, label, code, line)
            elif type(held) is dict and len(held) <= _ROOM:
                for name, value in list(held.items()):
                    if _is_thing(value):
                        self._add(value, f"{name} {label}" if type(name) is str else label, code, line)

    def _meet(self, thing: Any, how: str, frames: list[StackFrame]) -> None:
        """A thing that a task waits on."""
        if id(thing) in self._things:
            return
        for code, line, _ in reversed(frames):
            if sites.plumbing[code.co_filename] == sites.USER:
                self._add(thing, f"{how} {code.co_qualname}()", code, line)
                return

    def _add(self, thing: Any, label: str, code: CodeType, line: int) -> None:
        known = self._things.get(id(thing))
        if known is not None and known.ref() is thing:
            known.feeds_itself = known.feeds_itself or _gets_and_puts(code)
        elif len(self._things) < MOST_THINGS:
            text = f"{type(thing).__qualname__} {label}"[:MOST_TEXT]
            known = self._things[id(thing)] = Thing(thing, self._number_of(thing), text, self._tables.site(code, line))
            known.feeds_itself = _gets_and_puts(code)

    def _sizes(self) -> dict[str, Any]:
        """The queues that hold something, the fullest first, and the semaphores."""
        queues, semaphores = [], []
        for key, thing in list(self._things.items()):
            found = thing.ref()
            if found is None:
                del self._things[key]
                continue
            try:
                if issubclass(type(found), asyncio.Queue):
                    size = len(found._queue)
                    facts = [size, max(found._maxsize, 0), len(found._getters), len(found._putters)]
                    if size and not thing.feeds_itself:
                        queues.append([thing.number, thing.label, thing.site, *facts])
                else:
                    bound = getattr(found, "_bound_value", None)
                    waiting = len(found._waiters or ())
                    semaphores.append([thing.number, thing.label, thing.site, found._value, bound, waiting])
            except Exception:  # a class of somebody's own keeps it elsewhere
                continue
        queues.sort(key=lambda row: -row[3])
        return {"queues": queues[:MOST_ROWS], "semaphores": semaphores[:MOST_ROWS]}

    # Pools, timers, loops

    def _executors(self, waited: float) -> list[list[Any]]:
        """Pools of concurrent.futures whose workers have begun, found through the threads that they leave with it."""
        rows: dict[int, list[Any]] = {}
        pools: dict[int, Any] = {}
        for thread in list(getattr(sys.modules.get("concurrent.futures.thread"), "_threads_queues", ())):
            arguments = getattr(thread, "_args", None)
            pool = arguments[0]() if arguments and isinstance(arguments[0], weakref.ref) else None
            if pool is not None:
                pools[id(pool)] = pool
        for pool in pools.values():
            try:
                label = pool._thread_name_prefix
                facts = [len(pool._threads), pool._max_workers, pool._work_queue.qsize()]
                rows[id(pool)] = [self._number_of(pool), "thread", str(label)[:MOST_TEXT], *facts]
            except Exception:
                continue
        for thread in list(getattr(sys.modules.get("concurrent.futures.process"), "_threads_wakeups", ())):
            try:
                pool = thread.executor_reference()
                pending, running = len(thread.pending_work_items), thread.work_ids_queue.qsize()
                workers = pool._max_workers
                facts = [len(pool._processes or ()), workers, max(pending - workers, running, 0)]
                rows[id(pool)] = [self._number_of(pool), "process", "ProcessPoolExecutor", *facts]
            except Exception:
                continue
        return [[*row, round(waited * 1e6)] for row in list(rows.values())[:MOST_ROWS]]

    def _timers(self) -> list[list[Any]]:
        """What the timers of each loop call, by a sample of them."""
        rows = []
        for loop, record in self._loops.all():
            timers = getattr(loop, "_scheduled", None)
            if not isinstance(timers, list) or len(timers) < 100:
                continue
            counts: dict[str, int] = {}
            for timer in timers[:: max(len(timers) // 200, 1)]:
                callback = getattr(timer, "_callback", None)
                if callback is not None:
                    name = describe(callback)[:MOST_TEXT]
                    counts[name] = counts.get(name, 0) + 1
            most = sorted(counts.items(), key=lambda entry: -entry[1])[:5]
            rows.append([record.id, len(timers), [[name, number] for name, number in most]])
        return rows

    def _blocked(self) -> list[list[Any]]:
        """Where the loops are that are blocked now."""
        rows = []
        now = monotonic()
        for record in list(hot.loops.values()):
            started = record.started
            if not started or now - started < _BLOCKED:
                continue
            stack = stack_of(sys._current_frames().get(record.thread), record.depth)
            if record.started == started and stack:
                lines = [self._tables.site(code, line) for code, line in stack]
                starved = self._starved.since_calm(record, now - started)
                facts = [round((now - started) * 1e6), round(starved * 1e6)]
                rows.append([record.id, *facts, lines, sites.blamed(list(stack))])
        return rows


def _chain(coro: Any) -> Iterator[Any]:
    """A coroutine and those that it awaits, the innermost last."""
    for _ in range(50):
        if not isinstance(coro, (CoroutineType, AsyncGeneratorType)):
            return
        yield coro
        coro = coro.cr_await if isinstance(coro, CoroutineType) else coro.ag_await


def _held(coro: Any) -> Iterator[Any]:
    """The locks whose `async with` block a coroutine stands in, also through an `@asynccontextmanager`."""
    for owner in entered(coro):
        yield owner
        inner = getattr(owner, "_lock", None) if issubclass(type(owner), asyncio.Condition) else None
        if inner is not None:
            yield inner
        if type(owner).__module__ == "contextlib" and isinstance(getattr(owner, "gen", None), AsyncGeneratorType):
            yield from _held(owner.gen)


def _on_its_way(leaf: Any) -> bool:
    """Whether a cancellation was passed on and has not come back yet: what the task waits on is being cancelled."""
    if isinstance(leaf, asyncio.Task):
        return bool(leaf.cancelling() or leaf._must_cancel)  # type: ignore[attr-defined]
    return bool(getattr(leaf, "_cancel_requested", False)) or not isinstance(leaf, asyncio.Future)


def _cleans_up(coro: Any) -> bool:
    """Whether a task is inside the `except` or `finally` of a CancelledError, or still has it in its hands."""
    return any(issubclass(type(held), asyncio.CancelledError) for one in _chain(coro) for held in gc.get_referents(one))


def _gets_and_puts(code: CodeType) -> bool:
    names = set(code.co_names)
    return bool(names & {"get", "get_nowait"} and names & {"put", "put_nowait"})


def _in_cell(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


def _is_thing(value: Any) -> bool:
    return issubclass(type(value), (asyncio.Queue, asyncio.Semaphore))


def _may_hold(value: Any) -> bool:
    """Whether an object is of a class of the user's, so that its attributes may hold things."""
    kind = type(value)
    if issubclass(kind, (type, ModuleType)) or kind.__module__ == "builtins":
        return False
    module = sys.modules.get(kind.__module__)
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and sites.plumbing[file] == sites.USER


def _chains(locks: list[_Lock], awaits: dict[int, list[int]]) -> list[list[Any]]:
    """What the holders of locks await, and what those tasks await, as far as it goes."""
    rows: dict[int, list[int]] = {}
    pending = [lock.holder for lock in locks if lock.holder]
    while pending and len(rows) < MOST_ROWS:
        task = pending.pop()
        if task in awaits and task not in rows:
            rows[task] = awaits[task]
            pending += awaits[task]
    return [[task, behind] for task, behind in rows.items()]
