"""The keyframes of recordings as validated structs: all that a store holds, in one frame that no probe sends."""
# ruff: noqa: RUF012 - a struct of msgspec, which copies what a field is by default

from __future__ import annotations

from typing import Annotated

import msgspec

from monitor.protocol.frames import Detail, Event, Frame, Hello, Reply, SyncScan
from monitor.protocol.memory_frames import MemoryTick
from monitor.protocol.rows import BlockedRow, Int, Microseconds
from probes.base import protocol


class TaskColumns(msgspec.Struct, frozen=True, kw_only=True):
    """The live tasks of a keyframe, a list a field. `id` and the times of day are differences to the entry before."""

    id: list[Int] = []
    name: list[str] = []
    coro: list[Int] = []  # number of a string; -1: not known
    loop: list[Int] = []
    born: list[Int | None] = []
    counted: list[Int | None] = []
    parent: list[Int] = []
    site: list[Int] = []
    flags: list[Int] = []
    seen: list[Int | None] = []
    state: list[Annotated[int, msgspec.Meta(ge=0, lt=protocol.ENDED)]] = []
    steps: list[Int] = []
    busy: list[Int] = []
    scheduled: list[Int | None] = []
    max_step: list[Int] = []
    since: list[Int | None] = []
    measured: list[Int | None] = []
    unmeasured: list[Int] = []  # busy since `measured`
    shares: list[tuple[Int, float]] = []  # (number of the entry, share), where it is not 0
    waits: list[tuple[Int, str | None, str | None]] = []  # (number of the entry, kind, text), where there is one


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


class ProcessState(msgspec.Struct, frozen=True):
    """The watched process in a keyframe."""

    rss: Int | None
    cpu: float | None
    threads: Int | None
    fds: Int | None
    cpu_total: Microseconds | None
    measured: Microseconds


class ProbeState(msgspec.Struct, frozen=True):
    """What the probe says of itself, in a keyframe."""

    share: float | None
    viewers: Int
    tasks: Int
    dropped: Int
    dropped_at: Microseconds | None
    off: list[str]
    cpu_total: Microseconds | None
    measured: Microseconds
    unnamed: Int = 0


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What a store has kept of the time before a keyframe: events, and the values of its series, the newest last."""

    events: list[Event] = []
    steps: list[float] = []
    task_counts: list[float] = []
    lags: dict[int, list[float]] = {}
    utilizations: dict[int, list[float]] = {}


class MemoryState(msgspec.Struct, frozen=True):
    """What was looked at of memory: the replies that told it, and the sizes of each place before, by time."""

    replies: list[Reply] = []
    sizes: list[tuple[list[Int], list[tuple[Microseconds, Int]]]] = []


class Keyframe(Frame, frozen=True, kw_only=True, tag="keyframe"):
    """All that a store holds at one moment, but for its history. Recordings have it; no probe sends it.

    A store that gets one forgets everything else.
    """

    hello: Hello
    at: Microseconds
    whole: Microseconds  # of the last tick that was not a piece
    watched_since: Microseconds
    strings: list[str] = []
    sites: list[tuple[Int, Int, Int]] = []
    tasks: TaskColumns = TaskColumns()
    loops: list[LoopState] = []
    site_states: list[SiteState] = []
    slow: list[tuple[Int, Int, float, float, float]] = []  # site or -1, count, total, worst, last
    details: list[Detail] = []
    process: ProcessState
    probe: ProbeState
    left: Int = 0
    missed_events: Int = 0
    ended_total: Int = 0
    last_seq: Int | None = None
    memory: MemoryTick | None = None
    memory_looks: MemoryState | None = None
    signs: tuple[Int, SyncScan] | None = None  # with the time at which they came
    history: History = History()
