"""The classes that the store holds: tasks, loops, sites, events. Units: seconds, bytes, Unix time.

They are structs of msgspec, since a dataclass takes fifty times as long to define: 25 ms of each command's start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from monitor.protocol.frames import Settings
from monitor.protocol.rows import SECOND, TaskRow, WaitRow, seconds_or_none
from monitor.store.series import Series
from probes.base import protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


Frame = TypeVar("Frame")


class Site(msgspec.Struct, frozen=True):
    """A line of code, in a stack or as a creation site."""

    file: str
    line: int
    function: str


def blamed(stack: Sequence[Frame], index: int) -> Frame | None:
    """Return the blamed frame of a stack; None if no stack was caught."""
    return stack[index] if 0 <= index < len(stack) else None


class Session(msgspec.Struct, frozen=True):
    """The watched process, from the hello frame."""

    id: str
    pid: int
    started: float
    opened: float
    name: str
    program: str
    cwd: str
    host: str
    user: str
    python: str
    implementation: str
    probe: str
    hooks: str
    capabilities: frozenset[str]
    counted: float | None  # when steps began to be counted without a viewer; None: only while one is connected
    settings: Settings
    paths: dict[str, list[str]]

    @property
    def read_only(self) -> bool:
        """Whether it is read from outside: times and counts are unknown, and `parent` is the awaiting task."""
        return "read-only" in self.capabilities


class Task(msgspec.Struct):
    """A live task. Unknown figures are None."""

    id: int
    name: str
    coro: str
    loop: int
    born: float | None
    counted: float | None  # None: since birth; else busy, scheduled, steps and max_step are lower bounds
    parent: int  # 0: none
    site: Site | None
    born_before_attach: bool
    eager: bool
    seen: float  # when this viewer first got a row of it
    state: int = protocol.WAITING
    steps: int = 0
    busy: float = 0.0
    scheduled: float | None = None
    max_step: float = 0.0
    since: float = 0.0  # when `state` or `steps` last changed
    share: float = 0.0  # share of the last second spent in steps
    wait_kind: str | None = None  # known only for tasks in sight
    wait_text: str | None = None
    label: str | None = None  # what it works on: a route, an RPC method, a span
    at: Site | None = None  # the innermost line of the user's code on its await stack
    version: int = 0  # grows with every visible change
    measured: float = 0.0  # when `share` was last computed; 0.0: no row yet
    measured_busy: float = 0.0

    @property
    def state_name(self) -> str:
        """The state as a word: running, scheduled, waiting, …"""
        return protocol.STATES[self.state]

    @property
    def since_before(self) -> bool:
        """Whether it may have been in its state before this viewer got its first row."""
        return self.since <= self.seen and (self.born is None or self.seen - self.born >= 1.0)

    def take_row(self, row: TaskRow) -> None:
        """Apply the figures of a row."""
        self.state, self.steps, self.busy = row.state, row.steps, row.busy * SECOND
        self.scheduled = seconds_or_none(row.scheduled)
        self.max_step = row.max_step * SECOND

    def take_wait(self, row: WaitRow, site: Site | None) -> None:
        """Apply a wait row. `site`: the row's site."""
        self.wait_kind, self.wait_text, self.at = row.kind, row.text, site

    def age(self, now: float) -> float | None:
        """Seconds since birth, or None for a task older than the probe."""
        return None if self.born is None else max(now - self.born, 0.0)

    def idle(self, now: float) -> float | None:
        """Seconds spent suspended; None if part of the task's life was not counted."""
        return None if self.counted is not None else self.idle_since(self.born, now)

    def idle_since(self, begin: float | None, now: float) -> float | None:
        """Seconds spent suspended since counting of its steps began; None if unknown."""
        if begin is None:
            return None
        waits = self.counted is None or self.state != protocol.SCHEDULED
        end = now if waits else min(self.since, now)  # the time it has been ready is not known yet
        return max(end - begin - self.busy - (self.scheduled or 0.0), 0.0)


class Failure(msgspec.Struct, frozen=True):
    """An exception as text."""

    type: str
    message: str
    traceback: tuple[Site, ...]
    locals: tuple[tuple[tuple[str, str], ...] | None, ...] | None = None
    """For each frame, names and values as text; None if they are not kept or were not requested."""

    def __post_init__(self) -> None:
        """Drop the local variables if they do not match the frames, as when a site of the traceback is unknown."""
        if self.locals is not None and len(self.locals) != len(self.traceback):
            msgspec.structs.force_setattr(self, "locals", None)

    @property
    def text(self) -> str:
        """Type and message: `ValueError: boom`; one of them alone if the other is empty."""
        return ": ".join(filter(None, (self.type, self.message)))


class CancelledBy(msgspec.Struct, frozen=True):
    """Who cancelled a task."""

    how: str  # call, timeout, group, body, end, interrupt; empty: unknown
    task: int | None  # the task that called `cancel`, or that failed in a group; None: a callback
    name: str | None
    site: Site | None  # the line that called `cancel`
    asked: bool  # False: what it awaited was cancelled, not the task itself
    through: int | None = None  # the task whose cancellation cancelled this one as well
    through_name: str | None = None
    title: str = ""  # `#7 refresh()`; empty if the store did not know the task when this one ended
    through_title: str = ""


class EndedTask(msgspec.Struct, frozen=True):
    """A task that has ended, and how."""

    id: int
    name: str
    coro: str
    outcome: str  # done, cancelled or failed
    ended: float
    age: float | None
    busy: float | None
    scheduled: float | None
    steps: int | None
    max_step: float | None
    site: Site | None
    parent: int
    loop: int
    failure: Failure | None
    label: str | None = None
    cancelled_by: CancelledBy | None = None  # None: not cancelled, or unknown


class GilHolder(msgspec.Struct, frozen=True):
    """The line at which other threads had the GIL for longest while a loop waited for it."""

    thread: str
    threads: int  # number of threads that had it, including at other lines
    stack: tuple[Site, ...]  # outermost first
    blame: int

    @property
    def line(self) -> Site | None:
        """The line to blame."""
        return blamed(self.stack, self.blame)


class SlowCallback(msgspec.Struct, frozen=True):
    """A step or callback longer than the threshold, and where its time went."""

    seq: int
    at: float  # when it ended
    duration: float
    loop: int
    task: int | None
    name: str | None
    callback: str
    stack: tuple[Site, ...]  # outermost first; empty if it was not caught
    blame: int
    samples: int
    starved: float = 0.0  # part of the duration: waiting for a processor
    gil: float = 0.0  # waiting for the GIL, which other threads had
    at_least: bool = False  # True: it began before the probe counted, so the duration is a lower bound
    held_by: GilHolder | None = None  # who had the GIL; None also if that was not seen
    io: float = 0.0  # asleep in the kernel otherwise: blocking calls, page faults
    gc: float = 0.0  # garbage collection
    importing: float = 0.0  # imports
    faulting: float = 0.0  # page faults that memory answered; an estimate by their number
    faults: int = 0  # that number
    throttled: float = 0.0  # part of `starved`: the CPU quota of its control group was used up
    label: str | None = None  # what the task worked on, as far as it was known then

    @property
    def reasons(self) -> dict[str, float]:
        """Where the time went (s): the parts sum up to the duration."""
        others = {
            "io": self.io,
            "gc": self.gc,
            "gil": self.gil,
            "cpu": max(self.starved - self.throttled, 0.0),
            "throttled": min(self.throttled, self.starved),
            "import": self.importing,
            "faults": self.faulting,
        }
        return {"own": max(self.duration - sum(others.values()), 0.0), **others}

    @property
    def own(self) -> float:
        """Its own time (s), without waiting for a processor or the GIL."""
        return max(self.duration - self.starved - self.gil, 0.0)

    @property
    def line(self) -> Site | None:
        """The blamed line, or None if no stack was caught."""
        return blamed(self.stack, self.blame)


class Unhandled(msgspec.Struct, frozen=True):
    """One call of a loop's exception handler, and its context."""

    at: float
    message: str
    task: int | None
    name: str | None
    failure: Failure | None
    site: Site | None = None  # where the task was created
    coro: str = ""
    label: str | None = None


class NeverAwaited(msgspec.Struct, frozen=True):
    """A coroutine that was dropped without being awaited."""

    at: float
    coro: str
    defined: Site | None
    stack: tuple[Site, ...]  # where it was dropped, outermost first
    blame: int
    made_here: bool  # the line that dropped it also made it

    @property
    def line(self) -> Site | None:
        """The line that dropped it."""
        return blamed(self.stack, self.blame)


class Notice(msgspec.Struct, frozen=True):
    """A message from the probe or about the connection."""

    at: float
    text: str
    kind: str = "notice"  # or memory: tracing started, stopped, or took a snapshot
    duration: float = 0.0  # seconds for which it held the program


class Block(msgspec.Struct, frozen=True):
    """What blocks a loop now."""

    at_least: bool  # True: it began before the probe counted, so `blocked` of the loop is a lower bound
    starved: float  # part of it: waiting for a processor
    stack: tuple[Site, ...]  # outermost first; empty if it was not caught
    blame: int

    @property
    def line(self) -> Site | None:
        """The line to blame."""
        return blamed(self.stack, self.blame)


class Loop(msgspec.Struct):
    """One event loop of the program and its figures as last reported."""

    id: int
    kind: str
    thread: int
    name: str
    lag: float = 0.0
    utilization: float | None = None  # over the last second
    ready: int | None = None
    timers: int | None = None
    steps: int = 0
    steps_per_s: float | None = None
    running: int | None = None
    blocked: float = 0.0
    block: Block | None = None  # None: not blocked for longer than the threshold
    busy: float | None = None
    measured: float = 0.0
    measured_busy: float = 0.0
    measured_steps: int = 0
    lags: Series = msgspec.field(default_factory=Series)
    utilizations: Series = msgspec.field(default_factory=Series)


class SiteStats(msgspec.Struct):
    """Counts of one creation site since watching began."""

    site: Site
    born: int = 0
    ended: int = 0
    failed: int = 0
    cancelled: int = 0
    busy: float = 0.0  # of ended tasks
    steps: int = 0
    births_per_s: float = 0.0
    deaths_per_s: float = 0.0
    measured: float = 0.0
    measured_born: int = 0
    measured_ended: int = 0


class Wait(msgspec.Struct, frozen=True):
    """What a task waits on: kind, short text and details."""

    kind: str
    repr: str
    facts: dict[str, Any]


class TaskDetail(msgspec.Struct, frozen=True):
    """Details that are collected only while a viewer looks at the task."""

    id: int
    await_stack: tuple[Site, ...]  # outermost first
    await_tasks: tuple[tuple[int, int], ...]  # (task id, depth at which its frames begin)
    waiting_on: Wait | None
    awaited_by: tuple[int, ...]
    origin: tuple[Site, ...] | None  # innermost first
    step_counts: tuple[int, ...] | None  # by powers of two, in microseconds
    schedule_counts: tuple[int, ...] | None


class Collections(msgspec.Struct, frozen=True):
    """What the garbage collector did in one generation so far."""

    runs: int
    collected: int
    uncollectable: int
    seconds: float | None = None  # of all; None if they are not timed
    times: tuple[int, ...] = ()  # a histogram: buckets and counts in turn


class Process(msgspec.Struct):
    """Figures of the watched process."""

    rss: int | None = None
    cpu: float | None = None  # share of one core
    threads: int | None = None
    fds: int | None = None
    fds_most: int | None = None  # their limit
    gc: tuple[Collections, ...] = ()  # by generation, youngest first
    cpu_total: float | None = None
    measured: float = 0.0


class Probe(msgspec.Struct):
    """The probe's cost, and what it dropped."""

    share: float | None = None  # of one core: its threads, and its hooks as an estimate
    viewers: int = 0
    tasks: int = 0
    dropped: int = 0
    dropped_at: float | None = None
    unnamed: int = 0  # part of `dropped`: ends counted at their site but not reported by name
    off: tuple[str, ...] = ()
    cpu_total: float | None = None
    measured: float = 0.0
