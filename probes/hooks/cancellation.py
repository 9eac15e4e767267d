"""Who cancelled a task: recorded when a cancellation wakes it, while the caller of `cancel` is still on the stack.

`Task.cancel` is C and cannot be hooked. But it cancels what the task waits for, and that hands the task's wakeup to
`loop.call_soon` with the cancelled future, where the hooks call `note`. A task that waits for nothing at that
moment (not started yet, or ready to run) is cancelled without a wakeup, so its canceller stays unknown.
"""

from __future__ import annotations

import sys
from asyncio import tasks
from typing import TYPE_CHECKING, Any

from ..base import sites
from . import steps_in_python
from .accounting import cancellers, current_task_of, drop_oldest, record_of, settled, state
from .records import begin

if TYPE_CHECKING:
    import asyncio
    from types import CodeType

    from ..base.sites import Tables
    from .records import TaskRecord

MOST = 2000
"""Most cancelled tasks that have not ended; beyond that the oldest are forgotten."""
MOST_AT_ONCE = 1000
"""Most notes between two looks of the sampler: cancelling ten thousand tasks at once costs no more than these."""

CALL, TIMEOUT, BODY, GROUP, END, INTERRUPT = "call", "timeout", "body", "group", "end", "interrupt"
_HOWS = {
    "Timeout._on_timeout": TIMEOUT,  # asyncio.timeout, wait_for from 3.12 on, async_timeout
    "TimerContext.timeout": TIMEOUT,  # aiohttp
    "_cancel_and_wait": TIMEOUT,  # wait_for of 3.11
    "TaskGroup._abort": BODY,
    "_cancel_all_tasks": END,
    "Runner._on_sigint": INTERRUPT,
}
"""Functions of packages and the standard library that cancel on behalf of somebody else."""

_name = tasks.Task.get_name
_count = tasks.Task.cancelling


class Canceller:
    """Who called `cancel`, and how. Holds no object of the program except code.

    Eight slots and not nine: with nine it is as large as a TimerHandle, and where many tasks are cancelled the
    program's timers fill the gaps between these objects; its garbage collections then take a sixth longer.
    """

    __slots__ = ("code", "count", "how", "lasti", "name", "owner", "steps", "task", "through")

    def __init__(self) -> None:
        self.how = CALL
        self.task = 0  # the task that called it, or (GROUP) that failed, or (BODY) that left the group; 0: a callback
        self.name = ""
        self.code: CodeType | None = None  # the line of user code that called it, if there is one
        self.lasti = -1
        self.owner = 0  # the task in whose `async with` the TaskGroup is (GROUP)
        self.through: tuple[int, str] | None = None  # the task that was cancelled, and took this one with it
        self.steps = 0  # steps of the cancelled task at that time
        self.count = 0  # its `cancelling()`; 0: its own `cancel` was not called

    def of(self, record: TaskRecord, task: Any) -> Canceller:
        """A copy for another task that this cancellation reaches."""
        found = Canceller()
        for slot in ("how", "task", "name", "code", "lasti", "owner", "through"):
            setattr(found, slot, getattr(self, slot))
        begin(record)
        found.steps, found.count = record.steps, _count(task)
        return found


class Budget:
    """How many more may be noted before the sampler looks again."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MOST_AT_ONCE


budget = Budget()


def refill() -> None:
    """Restores the budget; the sampler calls it at every look."""
    if budget.left >= 0:
        budget.left = MOST_AT_ONCE


def clear() -> None:
    """Remove every noted cancellation."""
    cancellers.clear()
    settled.clear()


def of(record: TaskRecord, task: Any) -> Canceller | None:
    """Who cancelled a task that still runs, if no later cancellation is known."""
    known = cancellers.get(record.id)
    return known if known is not None and _count(task) == known.count else None


def facts(known: Canceller | None, tables: Tables) -> dict[str, Any]:
    """The canceller in the protocol's format; empty if unknown."""
    if known is None:
        return {}
    who = {"how": known.how, "task": known.task, "name": known.name[:300]}
    where = {"site": tables.site_at(known.code, known.lasti), "asked": known.count > 0}
    through = {"through": known.through[0], "through_name": known.through[1][:300]} if known.through else {}
    return {"cancelled_by": {**who, **where, **through}}


def note(loop: Any, task: Any, future: Any) -> None:
    """Records who cancels a task; called by the hooks with the cancelled future that wakes it. Never raises."""
    if budget.left <= 0:
        return
    budget.left -= 1
    try:
        record = record_of(task)
        if record is not None:
            _note(loop, record, task, future)
    except Exception as error:
        budget.left = -sys.maxsize  # once is enough
        state.on_error("cancelled by", error)


state.on_cancel = note


def _note(loop: Any, record: TaskRecord, task: Any, future: Any) -> None:
    if isinstance(future, tasks.Task):  # it awaited a task that has ended by it
        _keep(record, _by_what_it_awaited(record, task, future))
        return
    current = current_task_of(loop)
    if current is task:  # it was cancelled while ready and takes effect now that it waits: the caller is unknown
        cancellers.pop(record.id, None)
        return
    frame: Any = sys._getframe(2)
    while sites.is_hook(frame.f_code.co_filename) and frame.f_code.co_name in steps_in_python.IN_BETWEEN:
        frame = frame.f_back
    found = Canceller()
    gathering = _find(found, frame, current)
    if current is not None and found.how in (TIMEOUT, BODY):
        above = record_of(current)
        known = cancellers.get(above.id) if above is not None else None
        if above is not None and known is not None and _count(current) == known.count > 0:
            found = known.of(record, task)  # it passes its own cancellation on
            found.through = above.id, _name(current)
    _keep(record, found.of(record, task))
    for other in _awaiting(gathering):
        above = record_of(other)
        if above is not None:
            _keep(above, found.of(above, other))


def _keep(record: TaskRecord, found: Canceller) -> None:
    if len(cancellers) >= MOST:
        drop_oldest(cancellers)
    cancellers[record.id] = found


def _by_what_it_awaited(record: TaskRecord, task: Any, awaited: asyncio.Task[Any]) -> Canceller:
    behind = record_of(awaited)
    known = cancellers.get(behind.id) if behind is not None else None
    found = (Canceller() if known is None else known).of(record, task)
    if known is None:
        found.how = ""  # not known
    if behind is not None:
        found.through = behind.id, _name(awaited)
    return found


def _find(found: Canceller, frame: Any, current: asyncio.Task[Any] | None) -> Any:
    """Fills in how, who and where, from the frame that called `cancel` outwards. Returns a gather that it passed."""
    gathering = outside = None
    first = None if _is_loop(frame) else frame
    kind = -1
    while frame is not None and not _is_loop(frame):
        code = frame.f_code
        before, kind = kind, sites.plumbing[code.co_filename]
        if kind == sites.USER:
            found.code, found.lasti = code, frame.f_lasti
            break
        how = _HOWS.get(code.co_qualname)
        if how is not None and found.how == CALL:
            found.how = how
        if how in (END, INTERRUPT):
            return gathering  # frames further out were only interrupted
        if kind == sites.BOUNDARY or (kind == sites.RUNNER and before not in (-1, kind)):
            break
        if code.co_qualname == "_GatheringFuture.cancel":
            gathering = frame.f_locals.get("self")
        elif code.co_qualname == "TaskGroup._on_task_done":
            found.how, current = GROUP, frame.f_locals.get("task")
            owner = record_of(getattr(frame.f_locals.get("self"), "_parent_task", None))
            found.owner = 0 if owner is None else owner.id
        elif outside is None and not sites.is_stdlib(code.co_filename):
            outside = frame
        frame = frame.f_back
    if found.code is None and found.how == CALL:
        frame = outside or first
        if frame is not None and sites.plumbing[frame.f_code.co_filename] != sites.RUNNER:
            found.code, found.lasti = frame.f_code, frame.f_lasti
    if current is not None:
        record = record_of(current)
        found.task, found.name = (record.id if record is not None else 0), _name(current)
    return gathering


def _is_loop(frame: Any) -> bool:
    """Whether the caller is the loop; uvloop leaves no frame but that of the code that started it."""
    file = frame.f_code.co_filename
    return frame.f_code is sites.LOOP or sites.is_hook(file) or file.endswith("/uvloop/__init__.py")


def _awaiting(future: Any) -> list[Any]:
    """The tasks that a future wakes."""
    if future is None:
        return []
    callbacks = [getattr(entry[0], "__self__", None) for entry in future._callbacks or ()]
    return [task for task in callbacks if isinstance(task, tasks.Task)]
