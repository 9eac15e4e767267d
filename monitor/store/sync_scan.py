"""What only findings read: locks, queues, pools, semaphores, swallowed cancellations. The newest scan of the probe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from monitor.protocol.rows import SECOND
from monitor.store.convert import CANCELLED_BY, GIL_HOLDER
from monitor.store.model import CancelledBy, GilHolder, Site, blamed

if TYPE_CHECKING:
    from monitor.protocol import scan_frames
    from monitor.protocol.scan_frames import StuckRow
    from monitor.store.tables import Tables


class Lock(msgspec.Struct, frozen=True):
    """A lock with waiters. `holder` is None if unknown."""

    number: int
    waiting: int
    holder: int | None
    held_at: Site | None
    waiters: tuple[tuple[int, Site | None], ...]  # task, and the line that waits


class Queue(msgspec.Struct, frozen=True):
    """A queue that is not empty. `most` is None if it is unbounded."""

    number: int
    label: str
    site: Site | None
    size: int
    most: int | None
    getters: int
    putters: int


class Semaphore(msgspec.Struct, frozen=True):
    """A semaphore. `bound` is known for a BoundedSemaphore only."""

    number: int
    label: str
    site: Site | None
    value: int
    bound: int | None
    waiting: int


class Executor(msgspec.Struct, frozen=True):
    """An executor. `waited`: the longest time (s) that a task has been waiting for a worker of any executor."""

    number: int
    kind: str
    label: str
    workers: int
    most: int
    queued: int
    waited: float


class SwallowedCancel(msgspec.Struct, frozen=True):
    """A task that was cancelled and did not end."""

    task: int
    times: int
    site: Site | None
    by: CancelledBy | None = None


class Holder(msgspec.Struct, frozen=True):
    """A task that refers to what others wait for: `entered` by `async with`, or in a variable."""

    task: int
    entered: bool
    site: Site | None
    cancelling: int
    moves: bool  # its code calls what would wake the others
    waits: str


class Failure(msgspec.Struct, frozen=True):
    """A failed task: its name, the exception, and the line that raised."""

    name: str
    coro: str
    exception: str
    message: str
    site: Site | None

    @property
    def text(self) -> str:
        """The exception and its message."""
        return f"{self.exception}: {self.message}" if self.message else self.exception


class Stuck(msgspec.Struct, frozen=True):
    """An object at which no waiting task has moved for `still` seconds. The figures depend on its kind."""

    number: int
    kind: str
    op: str
    label: str
    still: float
    waiting: int
    waiters: tuple[tuple[int, Site | None], ...]
    holders: tuple[Holder, ...]
    ended: tuple[Failure, ...]
    size: int
    most: int
    pid: int
    feeds_itself: bool
    orphaned: bool = False
    doing: str = ""
    idle: float = 0.0


class Failed(msgspec.Struct, frozen=True):
    """A failed task that is still referenced and whose exception was never retrieved. `task` is 0 if unknown."""

    number: int
    task: int
    failure: Failure


class LoopTimers(msgspec.Struct, frozen=True):
    """The timers of a loop, and the callbacks of a sample of them, most frequent first."""

    loop: int
    number: int
    calls: tuple[tuple[str, int], ...]


class BlockedNow(msgspec.Struct, frozen=True):
    """What blocks a loop now. Stack: outermost first."""

    loop: int
    duration: float
    starved: float  # of it, waiting for a processor
    stack: tuple[Site, ...]
    blame: int
    gil: float = 0.0  # part of it: waiting for the GIL
    held_by: GilHolder | None = None

    @property
    def own(self) -> float:
        """Its own time (s), without waiting for a processor or the GIL."""
        return max(self.duration - self.starved - self.gil, 0.0)

    @property
    def line(self) -> Site | None:
        """The line of the stack that the probe blames; None if the stack is unknown."""
        return blamed(self.stack, self.blame)


class FailingResponses(msgspec.Struct, frozen=True):
    """Responses of a group, and of these those with status 500 and above, in the `counted` seconds up to the scan."""

    coro: str
    label: str
    responses: int
    errors: int
    counted: float


class SyncScan(msgspec.Struct, frozen=True):
    """One scan. `at`: Unix time at which it arrived; 0.0 before the first."""

    at: float = 0.0
    locks: tuple[Lock, ...] = ()
    awaits: tuple[tuple[int, tuple[int, ...]], ...] = ()
    queues: tuple[Queue, ...] = ()
    semaphores: tuple[Semaphore, ...] = ()
    executors: tuple[Executor, ...] = ()
    swallowed_cancels: tuple[SwallowedCancel, ...] = ()
    timers: tuple[LoopTimers, ...] = ()
    blocked: tuple[BlockedNow, ...] = ()
    stuck: tuple[Stuck, ...] = ()
    failed: tuple[Failed, ...] = ()
    responses: tuple[FailingResponses, ...] = ()  # of the groups with failed ones


def scan_of(scan: scan_frames.SyncScan, at: float, tables: Tables) -> SyncScan:
    """Convert the scan of a frame, looking up its sites in the tables."""
    site = tables.site
    waits: dict[int, tuple[float, GilHolder | None]] = {
        row.loop: (row.waited * SECOND, None if row.held_by is None else GIL_HOLDER.decode(row.held_by, tables))
        for row in scan.gil
    }
    cancellers = {row.task: CANCELLED_BY.decode(row.by, tables) for row in scan.cancellers}
    return SyncScan(
        at=at,
        locks=tuple(
            Lock(
                row.number,
                row.waiting,
                row.holder or None,
                site(row.site),
                tuple((waiter.task, site(waiter.site)) for waiter in row.waiters),
            )
            for row in scan.locks
        ),
        awaits=tuple((row.task, tuple(row.awaited)) for row in scan.awaits),
        queues=tuple(
            Queue(row.number, row.label, site(row.site), row.size, row.most or None, row.getters, row.putters)
            for row in scan.queues
        ),
        semaphores=tuple(
            Semaphore(row.number, row.label, site(row.site), row.value, row.bound, row.waiting)
            for row in scan.semaphores
        ),
        executors=tuple(
            Executor(row.number, row.kind, row.label, row.workers, row.most, row.queued, row.waited * SECOND)
            for row in scan.executors
        ),
        swallowed_cancels=tuple(
            SwallowedCancel(row.task, row.times, site(row.site), cancellers.get(row.task)) for row in scan.cancelled
        ),
        timers=tuple(LoopTimers(row.loop, row.number, tuple(row.calls)) for row in scan.timers),
        blocked=tuple(
            BlockedNow(
                row.loop,
                row.duration * SECOND,
                row.starved * SECOND,
                tables.stack(row.stack),
                row.blame,
                *waits.get(row.loop, (0.0, None)),
            )
            for row in scan.blocked
        ),
        stuck=tuple(_stuck(row, tables) for row in scan.stuck),
        failed=tuple(
            Failed(row.number, row.task, Failure(row.name, row.coro, row.exception, row.message, site(row.site)))
            for row in scan.failed
        ),
        responses=tuple(
            FailingResponses(row.coro, row.label, row.responses, row.errors, row.counted * SECOND)
            for row in scan.responses
        ),
    )


def _stuck(row: StuckRow, tables: Tables) -> Stuck:
    site = tables.site
    return Stuck(
        row.number,
        row.kind,
        row.op,
        row.label,
        row.still * SECOND,
        row.waiting,
        tuple((waiter.task, site(waiter.site)) for waiter in row.waiters),
        tuple(
            Holder(one.task, one.how == 1, site(one.site), one.cancelling, one.moves, one.waits) for one in row.holders
        ),
        tuple(Failure(one.name, one.coro, one.exception, one.message, site(one.site)) for one in row.ended),
        row.size,
        row.most,
        row.pid,
        row.feeds_itself,
        row.orphaned,
        row.doing,
        row.idle * SECOND,
    )
