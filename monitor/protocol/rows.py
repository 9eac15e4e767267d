"""The rows of the protocol, as structs that msgspec reads from JSON arrays, and the bounded scalars they consist of.

On the wire a row is a bare array in the order of declaration. A field with a default may be added at the end; extra
fields of a newer probe are ignored.
"""

from typing import Annotated

import msgspec

Int = Annotated[int, msgspec.Meta(ge=-(1 << 62), le=1 << 62)]
"""An integer that a float can hold. Without the bounds a number of a thousand digits would overflow in arithmetic."""

Microseconds = Annotated[int, msgspec.Meta(ge=-(1 << 62), le=1 << 62, extra={"unit": "us"})]
"""A duration, or a time of day since the Unix epoch. A type of its own: the store keeps seconds instead."""

SECOND = 1e-6
"""One microsecond in seconds."""

Text = Annotated[str, msgspec.Meta(max_length=2000)]
"""A probe cuts every text at 1,000 characters or less."""

Stack = Annotated[list[Int], msgspec.Meta(max_length=200)]
"""Numbers of sites, outermost first. A probe sends at most 100 frames."""


def us(seconds: float) -> int:
    """Microseconds. The same integer comes back from `us(integer * SECOND)`, so nothing is lost in the store."""
    return round(seconds * 1e6)


def us_or_none(seconds: float | None) -> int | None:
    """Microseconds; None for None."""
    return None if seconds is None else round(seconds * 1e6)


def seconds_or_none(value: int | None) -> float | None:
    """Seconds from microseconds; None for None."""
    return None if value is None else value * SECOND


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A row: a JSON array on the wire."""


class FlatRow(Row, frozen=True, gc=False):
    """A row of scalars. The garbage collector need not track it: nothing in it can refer back to it."""


class TaskStaticRow(FlatRow, frozen=True):
    """Facts of a task that do not change, except for the name. `coro` is a string, `site` a site."""

    id: Int
    name: Text
    coro: Int
    loop: Int
    born: Microseconds | None  # None: older than the probe
    counted: Microseconds | None  # None: counted since birth; else the figures are lower bounds since then
    parent: Int
    site: Int
    flags: Int


class TaskRow(FlatRow, frozen=True):
    """The figures of a task, as absolute values."""

    id: Int
    state: Int
    steps: Int
    busy: Microseconds
    scheduled: Microseconds | None
    max_step: Microseconds
    label: Int = 0  # a string; 0: none


class LoopStaticRow(FlatRow, frozen=True):
    """Facts of a loop."""

    id: Int
    kind: Text
    thread: Int
    name: Text


class LoopRow(FlatRow, frozen=True):
    """The figures of a loop: `lag` is the worst since the row before, `running` the id of a task."""

    id: Int
    lag: Microseconds
    busy: Microseconds
    ready: Int | None
    timers: Int | None
    steps: Int
    running: Int | None
    blocked: Microseconds


class BlockedRow(Row, frozen=True):
    """What blocks a loop now. `at_least`: its callback began before counting did."""

    loop: Int
    at_least: bool
    starved: Microseconds
    stack: Stack
    blame: Int


class GcRow(Row, frozen=True):
    """What the garbage collector did in one generation so far."""

    runs: Int
    collected: Int
    uncollectable: Int


class SiteRow(FlatRow, frozen=True):
    """The counts of a creation site; `busy` and `steps` are those of its ended tasks."""

    site: Int
    born: Int
    ended: Int
    failed: Int
    cancelled: Int
    busy: Microseconds
    steps: Int


class WaitRow(FlatRow, frozen=True):
    """What a task waits on, and the innermost line of the user's code on its await stack."""

    id: Int
    kind: Text | None  # None: not waiting
    text: Text | None
    at: Int = 0  # a site


class SlowestRow(FlatRow, frozen=True):
    """One of the slowest tasks of a group that have ended."""

    task: Int
    age: Microseconds
    ended: Microseconds
    state: Int
    at: Int


class OldestRow(FlatRow, frozen=True):
    """The oldest live task of a group."""

    task: Int
    age: Microseconds
    at: Int


Buckets = Annotated[list[Int], msgspec.Meta(max_length=1300)]
"""A histogram: alternating bucket and count. A probe has 608 buckets at most."""


class GroupRow(Row, frozen=True):
    """The tasks of one coroutine and label since counting began."""

    number: Int
    coro: Int
    label: Int  # 0: none
    site: Int
    live: Int
    ended: Int
    failed: Int
    cancelled: Int
    gone: Int
    sums: Annotated[list[Int], msgspec.Meta(max_length=8)]  # age, ran, queued, waited: microseconds
    age: Buckets
    ran: Buckets
    queued: Buckets
    waited: Buckets
    slowest: Annotated[list[SlowestRow], msgspec.Meta(max_length=20)] = []
    oldest: OldestRow | None = None
    responses: Int = 0  # whose status could be read
    errors: Int = 0  # of these, with status 500 and above


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


class LongBlockRow(Row, frozen=True):
    """A loop that has been blocked for half a second or longer."""

    loop: Int
    duration: Microseconds
    starved: Microseconds
    stack: Stack
    blame: Int


class MemoryRow(Row, frozen=True):
    """A line, file or traceback, as in `tracemalloc.StatisticDiff`."""

    place: Stack
    size: Int
    size_diff: Int
    count: Int
    count_diff: Int


class ObjectsRow(FlatRow, frozen=True):
    """Live objects of a type."""

    name: Text
    count: Int
    count_diff: Int


class CallMemoryRow(FlatRow, frozen=True):
    """Memory that one call of a profiled function allocated at one line."""

    site: Int
    size: Int
    size_diff: Int
    count: Int
    count_diff: Int


class CallRow(Row, frozen=True):
    """One call of a profiled function."""

    at: Microseconds
    elapsed: Microseconds
    busy: Microseconds
    steps: Int
    size_diff: Int | None
    outcome: Text
    rows: list[CallMemoryRow]


FlameStack = Annotated[list[Int], msgspec.Meta(max_length=250)]
"""Numbers of sites, outermost first. A probe sends at most 191."""


class OnLoopRow(Row, frozen=True):
    """Time that a loop spent in a stack since the previous row. `task` 0: callbacks; `group` and `label` are strings,
    `site` is where the task was made. Also of jobs in threads of executors: the task is the one that asked for it.
    """

    task: Int
    group: Int
    stack: FlameStack
    time: Microseconds
    samples: Int
    label: Int = 0
    site: Int = 0


class WaitingRow(Row, frozen=True):
    """Time that tasks of a group waited in a stack, all together, and how many wait there now. `task` is 0 unless the
    viewer wants them by task.
    """

    group: Int
    stack: FlameStack
    time: Microseconds
    tasks: Int
    label: Int = 0
    site: Int = 0
    task: Int = 0
