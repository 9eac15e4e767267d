"""The record of one run of a sample, filled from the store and kept until it has been judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.samples.findings import SeenFinding
    from monitor.store.label_groups import LabelGroups
    from monitor.store.memory import MemorySnapshot
    from monitor.store.model import EndedTask, Site, SlowCallback, TaskDetail, Unhandled
    from monitor.store.store import Store
    from monitor.trace.collect import Trace


@dataclass(slots=True)
class Life:
    """One task while it was seen alive. Times are Unix time; others are seconds and counts since its start."""

    name: str
    site: Site | None
    parent: int
    eager: bool
    first: float
    last: float = 0.0
    steps: int = 0
    busy: float = 0.0


@dataclass(frozen=True, slots=True)
class WaitSnapshot:
    """One snapshot: the live tasks by id, and what each waits for."""

    at: float
    tasks: frozenset[int]
    details: dict[int, TaskDetail]


@dataclass(slots=True)
class LoopFigures:
    """One loop, from its first tick on."""

    first: float
    busy_first: float
    last: float = 0.0
    busy: float = 0.0
    lag: float = 0.0
    timers: int = 0
    ready: int = 0


@dataclass(slots=True)
class Observation:
    """Everything that expectations refer to."""

    lives: dict[int, Life] = field(default_factory=dict)
    snapshots: list[WaitSnapshot] = field(default_factory=list)
    loops: dict[int, LoopFigures] = field(default_factory=dict)
    slow: dict[int, SlowCallback] = field(default_factory=dict)  # by sequence number
    ended: dict[int, EndedTask] = field(default_factory=dict)  # by task
    unhandled: list[Unhandled] = field(default_factory=list)
    findings: list[SeenFinding] | None = None  # None: not collected
    memory: MemorySnapshot | None = None
    memory_seconds: float = 0.0  # between the two snapshots that `memory` compares
    groups: LabelGroups | None = None  # as they were at the end; None: not collected
    files: list[tuple[float, int]] = field(default_factory=list)  # the number of open files, and when
    trace: Trace | None = None  # steps, if an expectation needs them
    missed: int = 0  # dropped events
    first: float = 0.0  # when the first loop was seen
    last: float = 0.0
    trouble: str = ""  # why it ended in another way than expected

    @property
    def seconds(self) -> float:
        """Seconds for which it was watched."""
        return max(self.last - self.first, 0.001)

    def take(self, store: Store) -> None:
        """Record the current state of the store."""
        now = self.last = store.now
        self.first = self.first or now
        for number, task in store.tasks.items():
            life = self.lives.get(number)
            if life is None:
                life = self.lives[number] = Life("", None, task.parent, task.eager, task.born or now)
            life.name, life.site = task.name, task.site
            life.last, life.steps, life.busy = now, task.steps, task.busy
        for number, loop in store.loops.items():
            if loop.busy is None:
                continue
            figures = self.loops.get(number)
            if figures is None:
                figures = self.loops[number] = LoopFigures(now, loop.busy)
            figures.last, figures.busy = now, loop.busy
            figures.lag = max(figures.lag, loop.lag)
            figures.timers, figures.ready = max(figures.timers, loop.timers or 0), max(figures.ready, loop.ready or 0)
        if store.process.fds is not None:
            self.files.append((now, store.process.fds))
        self.missed = store.missed_events + store.probe.dropped

    def take_events(self, store: Store) -> None:
        """Record the store's new events; known ones are skipped."""
        for slow in store.slow.entries:
            self.slow.setdefault(slow.seq, slow)
        for task in store.ended:
            if task.id not in self.ended:
                self.ended[task.id] = task
        self.unhandled = list(store.unhandled)

    def snapshot(self, store: Store) -> None:
        """Record a snapshot, including details that have just been requested."""
        self.snapshots.append(WaitSnapshot(store.now, frozenset(store.tasks), dict(store.details)))

    def name(self, task: int) -> str:
        """The name of a task that was seen, alive or ended."""
        if task in self.lives:
            return self.lives[task].name
        return self.ended[task].name if task in self.ended else ""
