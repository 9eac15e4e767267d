"""`sync_scan`, what findings look at once a second: locks, queues, executors, stuck objects, timers, long blocks."""

import msgspec

from monitor.protocol.rows import CancelledBy, FlatRow, GilHolder, Int, Microseconds, Row, Stack, Text


class WaiterRow(FlatRow, frozen=True):
    """A task that waits for a lock, and the line at which it waits."""

    task: Int
    site: Int


class LockRow(Row, frozen=True):
    """A lock with waiters; `holder` is 0 if unknown."""

    number: Int
    waiting: Int
    holder: Int
    site: Int
    waiters: list[WaiterRow]


class AwaitsRow(Row, frozen=True):
    """A task, and the tasks that must all end before it can continue."""

    task: Int
    awaited: list[Int]


class QueueRow(FlatRow, frozen=True):
    """A queue that is not empty; `most` is 0 if it is unbounded."""

    number: Int
    label: Text
    site: Int
    size: Int
    most: Int
    getters: Int
    putters: Int


class SemaphoreRow(FlatRow, frozen=True):
    """A semaphore; `bound` is known for a BoundedSemaphore only."""

    number: Int
    label: Text
    site: Int
    value: Int
    bound: Int | None
    waiting: Int


class ExecutorRow(FlatRow, frozen=True):
    """An executor; `waited` is the longest time that a task has been waiting for a worker of any executor."""

    number: Int
    kind: Text
    label: Text
    workers: Int
    most: Int
    queued: Int
    waited: Microseconds


class HolderRow(FlatRow, frozen=True):
    """A task that refers to what others wait for: `how` is 1 inside `async with`, 2 in a variable.

    `moves`: its code calls what would wake the others. `waits`: what it waits for itself, as text.
    """

    task: Int
    how: Int
    site: Int
    cancelling: Int
    moves: bool
    waits: Text


class EndedHolderRow(FlatRow, frozen=True):
    """A failed task whose frames refer to what others wait for; `site`: the line that raised."""

    name: Text
    coro: Text
    exception: Text
    message: Text
    site: Int


class StuckRow(Row, frozen=True):
    """An object at which no waiting task has moved for a while.

    `size` and `most`: items and limit of a queue, value and bound of a semaphore, unread bytes of a subprocess.
    `feeds_itself`: the code that waits also does what would wake it, as users of a pool do.
    `orphaned`: nothing that is alive refers to it. `doing`, `idle`: of a subprocess that does nothing, its state and
    since when.
    """

    number: Int
    kind: Text
    op: Text
    label: Text
    still: Microseconds
    waiting: Int
    waiters: list[WaiterRow]
    holders: list[HolderRow]
    ended: list[EndedHolderRow]
    size: Int
    most: Int
    pid: Int
    feeds_itself: bool
    orphaned: bool = False
    doing: Text = ""
    idle: Microseconds = 0


class FailedRow(FlatRow, frozen=True):
    """A failed task that is still referenced and whose exception was never retrieved."""

    number: Int
    task: Int
    name: Text
    coro: Text
    exception: Text
    message: Text
    site: Int


class SwallowedCancelRow(FlatRow, frozen=True):
    """A task that was cancelled and kept running."""

    task: Int
    times: Int
    site: Int


class TimersRow(Row, frozen=True):
    """The number of timers of a loop, and the callbacks of a sample of them: names and counts."""

    loop: Int
    number: Int
    calls: list[tuple[Text, Int]]


class ResponsesRow(FlatRow, frozen=True):
    """A group of which responses failed: those with a known status, and with status 500 and above."""

    coro: Text
    label: Text
    responses: Int
    errors: Int
    counted: Microseconds


class LongBlockRow(Row, frozen=True):
    """A loop that has been blocked for half a second or longer."""

    loop: Int
    duration: Microseconds
    starved: Microseconds
    stack: Stack
    blame: Int


class CancellerRow(Row, frozen=True):
    """Who cancelled a task."""

    task: Int
    by: CancelledBy


class GilRow(Row, frozen=True):
    """Time that a blocked loop has been waiting for the GIL, and which thread had it."""

    loop: Int
    waited: Microseconds
    held_by: GilHolder | None


class SyncScan(msgspec.Struct, frozen=True, kw_only=True):
    """Observations for findings, read once a second: locks, queues, pools, cancellations. Task ids; 0 is unknown."""

    locks: list[LockRow] = []
    awaits: list[AwaitsRow] = []  # of the holders of locks, and of the tasks that they await
    queues: list[QueueRow] = []
    semaphores: list[SemaphoreRow] = []
    executors: list[ExecutorRow] = []
    cancelled: list[SwallowedCancelRow] = []
    cancellers: list[CancellerRow] = []  # of the tasks in `cancelled`, as far as known
    timers: list[TimersRow] = []
    blocked: list[LongBlockRow] = []
    gil: list[GilRow] = []
    stuck: list[StuckRow] = []
    failed: list[FailedRow] = []
    responses: list[ResponsesRow] = []
