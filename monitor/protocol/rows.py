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


Buckets = Annotated[list[Int], msgspec.Meta(max_length=1300)]
"""A histogram: alternating bucket and count. A probe has 608 buckets at most."""


def us(seconds: float) -> int:
    """Microseconds. The same integer comes back from `us(integer * SECOND)`, so nothing is lost in the store."""
    return round(seconds * 1e6)


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
    seconds: Microseconds | None = None
    times: Buckets = []


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
    by_site: Int = 0  # 1: `site` is where the tasks are created, whatever their coroutine and label


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


class CancelledBy(msgspec.Struct, frozen=True, kw_only=True):
    """The canceller of a task. `how`: call, timeout, group, body, end, interrupt, or empty if unknown."""

    how: Text
    task: Int = 0  # the task that called `cancel`, or that failed in a group; 0: a callback
    name: Text = ""
    site: Int = 0
    asked: bool = True  # True: its own `cancel` was called
    through: Int = 0  # the task whose cancellation cancelled this one as well
    through_name: Text = ""
    title: Text = ""  # this and the next in recordings only: what both tasks are called, if they were known
    through_title: Text = ""


class GilHolder(msgspec.Struct, frozen=True):
    """The line at which other threads had the GIL for longest, while a callback waited for it."""

    thread: str  # the thread that ran most there; empty: unnamed
    threads: Int = 1  # number of threads that had it, including at other lines
    stack: list[Int] = []
    blame: Int = -1
