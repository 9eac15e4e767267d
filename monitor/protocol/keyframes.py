"""The keyframes of recordings as validated structs: a whole store in one frame, which no probe sends."""
# ruff: noqa: RUF012 - a struct of msgspec, which copies what a field is by default

from typing import TYPE_CHECKING, Annotated, get_type_hints

import msgspec

from monitor.protocol.frames import (
    Detail,
    Event,
    Frame,
    GroupsTick,
    Hello,
    HistoryRows,
    ProbeFacts,
    ProcessFacts,
    Reply,
)
from monitor.protocol.memory_frames import MemoryTick
from monitor.protocol.rows import BlockedRow, Int, Microseconds, TaskRow, TaskStaticRow, WaitRow
from monitor.protocol.scan_frames import SyncScan
from monitor.protocol.thread_frames import ThreadsReply
from probes.base import protocol

_ROWS = {**get_type_hints(TaskStaticRow, include_extras=True), **get_type_hints(TaskRow, include_extras=True)}
_OTHERWISE = {"name": str, "state": Annotated[int, msgspec.Meta(ge=0, lt=protocol.ENDED)]}


class OwnTaskColumns(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of live tasks that are not fields of their rows."""

    seen: list[Microseconds] = []
    since: list[Microseconds] = []
    measured: list[Microseconds] = []
    unmeasured: list[Microseconds] = []  # busy since `measured`
    shares: list[tuple[Int, float]] = []  # (index of the entry, share) if it is above 0
    waits: list[WaitRow] = []  # `id` is the index of the entry


if TYPE_CHECKING:

    class TaskColumns(OwnTaskColumns, frozen=True, kw_only=True):
        """The live tasks of a keyframe: a list for each field of the rows of a task, and those of OwnTaskColumns."""

else:
    TaskColumns = msgspec.defstruct(
        "TaskColumns",
        [(name, list[_OTHERWISE.get(name, kind)], []) for name, kind in _ROWS.items()],
        bases=(OwnTaskColumns,),
        frozen=True,
        kw_only=True,
    )

OPTIONAL = frozenset(
    name for row in (TaskStaticRow, TaskRow) for name in row.__struct_fields__[::-1][: len(row.__struct_defaults__)]
)
"""Columns that an older recording may lack: row fields with a default."""

DIFFERENCES = frozenset({"id", "born", "counted", "seen", "since", "measured"})
"""Columns stored as differences from the previous entry, which compress well."""


class LoopState(msgspec.Struct, frozen=True, kw_only=True):
    """A loop in a keyframe."""

    id: Int
    kind: str
    thread: Int
    name: str
    lag: Microseconds
    utilization: float | None
    ready: Int | None
    timers: Int | None
    steps: Int
    steps_per_s: float | None
    running: Int | None
    blocked: Microseconds
    block: BlockedRow | None = None
    busy: Microseconds | None
    measured: Microseconds
    measured_busy: Microseconds
    measured_steps: Int


class SiteState(msgspec.Struct, frozen=True, array_like=True):
    """The counts of a creation site in a keyframe."""

    site: Int
    born: Int
    ended: Int
    failed: Int
    cancelled: Int
    busy: Microseconds
    steps: Int
    births_per_s: float
    deaths_per_s: float
    measured: Microseconds
    measured_born: Int
    measured_ended: Int


class BlockingLineState(msgspec.Struct, frozen=True, array_like=True):
    """A line that blocked a loop, in a keyframe. `line` is a site, or -1 for callbacks that were not caught."""

    line: Int
    count: Int
    total: float
    worst: float
    last: float


class ProcessState(ProcessFacts, frozen=True, kw_only=True):
    """The watched process in a keyframe; `cpu` is a share of one core."""

    cpu: float | None
    cpu_total: Microseconds | None
    measured: Microseconds


class ProbeState(ProbeFacts, frozen=True, kw_only=True):
    """The probe in a keyframe; `share` is its part of one core."""

    share: float | None
    cpu_total: Microseconds | None
    measured: Microseconds


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The store's history before a keyframe: events, and the values of its series, newest last."""

    events: list[Event] = []
    steps: list[float] = []
    task_counts: list[float] = []
    lags: dict[int, list[float]] = {}
    utilizations: dict[int, list[float]] = {}
    past: list[HistoryRows] = []  # of the probe's own history, in order


class MemoryState(msgspec.Struct, frozen=True):
    """The memory snapshots: the replies that brought them, and the earlier sizes of each place by time."""

    replies: list[Reply] = []
    sizes: list[tuple[list[Int], list[tuple[Microseconds, Int]]]] = []


class Keyframe(Frame, frozen=True, kw_only=True, tag="keyframe"):
    """The contents of a store at one moment, without its history. Only recordings have keyframes; no probe sends them.

    A store that applies one drops everything else.
    """

    hello: Hello
    at: Microseconds
    whole: Microseconds  # time of the last complete tick
    watched_since: Microseconds
    strings: list[str] = []
    sites: list[tuple[Int, Int, Int]] = []
    tasks: TaskColumns = TaskColumns()
    loops: list[LoopState] = []
    site_states: list[SiteState] = []
    slow: list[BlockingLineState] = []
    details: list[Detail] = []
    process: ProcessState
    probe: ProbeState
    left: Int = 0
    missed_events: Int = 0
    ended_total: Int = 0
    last_seq: Int | None = None
    memory: MemoryTick | None = None
    memory_looks: MemoryState | None = None
    sync_scan: tuple[Int, SyncScan] | None = None  # with the time at which they came
    groups: tuple[GroupsTick, list[list[tuple[Microseconds, Int, Int]]]] | None = None  # with marks for rates
    threads: list[ThreadsReply] = []
    history: History = History()
