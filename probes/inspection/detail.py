"""The detail of one task for a viewer: await stack, wait, awaiting tasks, holder of the lock it waits for."""

from __future__ import annotations

import asyncio
from types import AsyncGeneratorType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from ..base import sites
from ..base.task_facts import coro_of, is_done
from ..base.turns import turns
from ..hooks import install, reading
from ..hooks.reading import hold, referents
from . import library_waits, waits
from .awaiters import awaited_by
from .own_refs import OwnRef

if TYPE_CHECKING:
    import weakref
    from collections.abc import Iterator

    from ..base.sites import Tables
    from ..hooks.records import TaskRecord
    from .waits import Wait

MOST_TASKS_FOR_A_HOLDER = 20_000
MOST_AWAITED_BY = 200
MOST_TEXT = 300


def yield_gil_if_due() -> None:
    """Gives up the GIL for a moment if needed, so that the next read is not interrupted.

    What the program drops while it is read ends later than it would, and with hooks in Python in this thread (see
    hooks/reading.py). A thread that waits for the GIL gets it after 5 ms (`sys.setswitchinterval`), counted anew
    whenever the GIL is given up. So more than half of that remains for the next read, and reading one task takes 0.05
    ms.
    """
    turns.give()


def number_of(task: Any) -> int | None:
    """The id of a task, or None for one that is not registered."""
    record = install.record_of(task)
    return record.id if record is not None else None


def wait_of(task: asyncio.Task[Any], named: bool = True) -> Wait | None:
    """The wait of a task; None if it runs, is ready or has ended. `named`: see `waits.read`."""
    leaf = hold(task._fut_waiter)  # type: ignore[attr-defined]
    if is_done(task) or leaf is None:
        return None
    return waits.read(reading.frames_of(task), leaf, named)


def wait_row(task: asyncio.Task[Any], record: TaskRecord, tables: Tables) -> list[Any]:
    """The protocol.WAIT_ROW of a task. Called by `reading.read`."""
    leaf = hold(task._fut_waiter)  # type: ignore[attr-defined]
    if is_done(task) or leaf is None:
        return [record.id, None, None, 0]
    frames = reading.frames_of(task)
    wait = waits.read(frames, leaf)
    if wait is None:
        return [record.id, None, None, 0]
    return [record.id, wait.kind, wait.text[:MOST_TEXT], _user_line(frames, tables)]


def _user_line(frames: list[reading.Place], tables: Tables) -> int:
    """The site of the innermost line that is the user's own; 0 for an empty stack."""
    index = sites.blamed([(code, line) for code, line, _ in frames])
    return tables.site(*frames[index][:2]) if index >= 0 else 0


def detail_of(record: TaskRecord, tables: Tables) -> dict[str, Any] | None:
    """The `detail` of the protocol for a live task; None when it is gone."""
    yield_gil_if_due()
    facts, lock = reading.read(record, _read, record, tables) or (None, None)
    if lock is not None and facts is not None:
        facts["waiting_on"]["holder"] = lock.holder(record)
    return facts


class LockRef:
    """A lock that a task waits for, without a reference to it."""

    def __init__(self, lock: Any) -> None:
        self.key = id(lock)
        owner = library_waits.owner_of(lock)
        self._owner = number_of(owner) if owner is not None else None
        try:
            self._ref = OwnRef(lock) if owner is None else None
        except TypeError:  # it cannot be referred to weakly
            self._ref = None

    def holder(self, waiter: TaskRecord) -> int | None:
        """The id of the task that holds the lock; None if unknown."""
        return self._owner if self._ref is None else holder_of(self._ref, waiter)


def _read(task: Any, record: TaskRecord, tables: Tables) -> tuple[dict[str, Any] | None, LockRef | None]:
    """The detail, and the lock whose holder is still to be found."""
    if is_done(task):
        return None, None
    stack: list[int] = []
    behind: list[list[int]] = []
    first: Wait | None = None
    at = 0
    current: Any = task
    seen: set[int] = set()
    while current is not None and id(current) not in seen and len(stack) < 200:
        seen.add(id(current))
        if current is not task:
            behind.append([number_of(current) or 0, len(stack)])
        frames = reading.frames_of(current)
        stack += [tables.site(code, line) for code, line, _ in frames]
        wait = waits.read(frames, hold(current._fut_waiter))
        if current is task:
            first, at = wait, _user_line(frames, tables)
        current = hold(wait.tasks[0]) if wait is not None and len(wait.tasks) == 1 else None
    callers = [number_of(waiter) for waiter in awaited_by(task)[:MOST_AWAITED_BY]]
    histogram = record.histogram
    lock = LockRef(first.waited) if first is not None and first.kind == "lock" else None
    facts = {
        "id": record.id,
        "await_stack": stack,
        "await_tasks": behind,
        "waiting_on": None if first is None else _facts(first),
        "at": at,
        "awaited_by": [number for number in callers if number is not None],
        "origin": _origin(record, tables),
        "histogram": None if histogram is None else {"steps": histogram.steps, "schedules": histogram.schedules},
    }
    return facts, lock


def _origin(record: TaskRecord, tables: Tables) -> list[int] | None:
    if record.origin is None:
        return None
    return [tables.site_at(code, lasti) for code, lasti in record.origin]


def _facts(wait: Wait) -> dict[str, Any]:
    facts: dict[str, Any] = {"kind": wait.kind, "repr": wait.text[:MOST_TEXT], **wait.facts}
    if wait.tasks:
        numbers = [number_of(other) for other in wait.tasks[:MOST_AWAITED_BY]]
        known = [number for number in numbers if number is not None]
        if len(known) == 1:
            facts["task"] = known[0]
        facts["tasks"] = known
    return facts


def holder_of(lock: weakref.ref[Any], waiter: TaskRecord) -> int | None:
    """The task that is inside `async with lock`: the bound `__aexit__` lies on the stack of one of its frames.

    `asyncio.Lock` has no owner. `gc.get_referents` of a coroutine visits its frame's stack (3.11 and later), so the
    holder can be read. A direct call of `lock.acquire()` leaves no trace, and None is returned.
    """
    for record in install.walk(install.records, MOST_TASKS_FOR_A_HOLDER):
        if record.loop is waiter.loop and record is not waiter and reading.read(record, _holds, lock):
            return record.id
    return None


def entered(coro: Any) -> Iterator[Any]:
    """The objects whose `async with` blocks a coroutine is inside: their `__aexit__` lies on the stack of its frame."""
    before: Any = None
    for held in referents(coro):
        if type(held) is MethodType and held.__name__ == "__aexit__":
            yield hold(held.__self__)
        elif type(before) is FunctionType and getattr(type(held), "__aexit__", None) is before:
            yield held  # 3.14 keeps the function and the object there, not a bound method
        before = held


def held_locks(coro: Any) -> Iterator[Any]:
    """The locks whose `async with` block a coroutine is inside, also through an `@asynccontextmanager`."""
    for owner in entered(coro):
        yield owner
        inner = hold(getattr(owner, "_lock", None)) if issubclass(type(owner), asyncio.Condition) else None
        if inner is not None:
            yield inner
        if type(owner).__module__ == "contextlib" and isinstance(getattr(owner, "gen", None), AsyncGeneratorType):
            yield from held_locks(hold(owner.gen))


def _holds(task: asyncio.Task[Any], ref: weakref.ref[Any]) -> bool:
    lock = hold(ref())
    if lock is None or is_done(task):
        return False
    coro: Any = hold(coro_of(task))
    wait = wait_of(task, named=False)
    # A task that waits to enter `async with` has the `__aexit__` on its stack already.
    pending = wait is not None and wait.waited is lock
    for _ in range(50):
        if coro is None:
            return False
        for held in entered(coro):
            if held is lock:
                if not pending:
                    return True
                pending = False
        coro = hold(getattr(coro, "cr_await", None) or getattr(coro, "ag_await", None))
        if not hasattr(coro, "cr_await") and not hasattr(coro, "ag_await"):
            return False
    return False
