"""The memory parts of ticks and replies: tracing, growth, live objects, profiled functions."""

import msgspec

from monitor.protocol.rows import FlatRow, Int, Microseconds, Row, Stack, Text


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


class StepCost(msgspec.Struct, frozen=True):
    """Steps per second of all loops, and busy microseconds per step."""

    steps: float | None = None
    busy: float | None = None


class Tracing(msgspec.Struct, frozen=True):
    """The state of tracemalloc while it is on."""

    since: Microseconds
    left: Microseconds
    frames: Int
    limit: Int
    traced: Int
    peak: Int
    overhead: Int
    mine: bool = False
    adopted: bool = False
    before: StepCost = StepCost()
    during: StepCost = StepCost()
    pause: Microseconds | None = None
    looks: Int = 0
    baseline: Microseconds | None = None


class TracingEnd(msgspec.Struct, frozen=True):
    """Why tracing has stopped."""

    at: Microseconds
    why: Text


class Usage(msgspec.Struct, frozen=True):
    """Memory and descriptors that the process uses."""

    rss: Int | None = None
    uss: Int | None = None
    fds: dict[str, Int] | None = None
    threads: Int | None = None
    switches: tuple[Int, Int] | None = None


class Collector(msgspec.Struct, frozen=True):
    """Figures of the garbage collector since a viewer began to watch."""

    enabled: bool = True
    runs: tuple[Int, Int, Int] = (0, 0, 0)
    time: Microseconds = 0
    longest: Microseconds = 0
    collected: Int = 0
    uncollectable: Int = 0


class MemoryTick(msgspec.Struct, frozen=True):
    """The memory part of a tick. Unset fields have not changed."""

    tracing: Tracing | msgspec.UnsetType | None = msgspec.UNSET
    ended: TracingEnd | None = None
    usage: Usage | None = None
    collector: Collector | None = None


Figures = tuple[Int, Int, Int, Int]


class MemoryReply(msgspec.Struct, frozen=True, kw_only=True):
    """One snapshot of traced memory. Rows: [sites, outermost first], size, size_diff, count, count_diff."""

    at: Microseconds
    blocks: Int
    groups: Int
    pause: Microseconds
    took: Microseconds
    traced: Int
    peak: Int
    overhead: Int
    rss: Int | None = None
    against: Text = ""
    against_at: Microseconds | None = None
    group: Text = ""
    frames: Int = 1
    rows: list[MemoryRow] | None = None
    shown: Int = 0
    found: Int = 0
    total: Figures = (0, 0, 0, 0)
    hidden: Figures = (0, 0, 0, 0)
    others: Figures = (0, 0, 0, 0)


class ObjectsReply(msgspec.Struct, frozen=True, kw_only=True):
    """Live objects by type. Rows: name, count, count_diff."""

    at: Microseconds
    against_at: Microseconds | None = None
    objects: Int
    types: Int
    pause: Microseconds
    took: Microseconds
    rows: list[ObjectsRow] = []


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A decorated function. A call is at, elapsed, busy, steps, size_diff, outcome, rows by site."""

    function: Text
    module: Text
    site: Int
    shape: Text
    kind: Text
    key_type: Text | None = None
    cumulative: bool = False
    running: Int = 0
    calls: Int = 0
    failed: Int = 0
    cancelled: Int = 0
    steps: Int = 0
    elapsed: Microseconds = 0
    longest: Microseconds = 0
    busy: Microseconds = 0
    size_diff: Int | None = None
    kept: Int = 0
    recent: list[CallRow] = []
