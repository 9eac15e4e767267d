"""A searchable step ring: what ran on each loop and when, and the life of each task."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from monitor.store.model import Site
from monitor.store.task_names import title, words
from monitor.trace.events import NOT_KNOWN, PLACE, PLACE_BITS, UNIT, Decoder, Event, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OUTCOMES = {3: "done", 4: "cancelled", 5: "failed"}
DESCRIBED = 1_000_000
"""Shortest wait, in nanoseconds, that the probe describes."""
COARSE = 300_000
"""By how many nanoseconds a wait may be shorter to the probe, which counts in coarse units."""
MOST_EVENTS = 2_000_000
"""Limit of events in a timeline; later ones are only counted."""


@dataclass(slots=True)
class Run:
    """One step of a task, or one plain callback. Times are ns of Unix time."""

    loop: int
    task: int  # 0: a plain callback
    ready: int | None  # when it became ready; for a timer, when it was due
    start: int
    end: int
    kind: Kind
    waker: int  # the task that made it ready, or 0
    site: Site | None = None  # the function of a callback; of what still runs, its sampled line
    running: bool = False  # it has not ended yet: `end` is the last look
    at_least: bool = False  # it began before the probe counted: `start` is too late


@dataclass(frozen=True, slots=True)
class Wait:
    """A described wait: where the task waited, and the line that ended the wait."""

    at: int
    innermost: Site | None  # the innermost frame of its await stack, often asyncio's
    users: Site | None  # the innermost frame of the user's own code, else of such a package
    waking: Site | None
    object: int = 0  # number of the object it waited on; 0: unknown
    name: str = ""  # description of the object: its peer, its type
    package: Site | None = None  # the innermost frame of an installed package that is no framework


@dataclass(slots=True)
class Life:
    """The recorded life of one task."""

    id: int
    name: str = ""
    coro: str = ""
    label: str | None = None
    site: Site | None = None
    code: Site | None = None  # the definition of its coroutine function
    parent: int = 0
    loop: int = 0
    born: int | None = None
    ended: int | None = None
    outcome: str = ""
    steps: list[Run] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)

    @property
    def words(self) -> str:
        """What it is called, without its id."""
        return words(self.name, self.coro, self.label)

    @property
    def title(self) -> str:
        """The task as it is named everywhere."""
        return title(self.id, self.name, self.coro, self.label)


@dataclass(frozen=True, slots=True)
class Blocked:
    """A slow callback with a sampled stack: the blamed line, and the whole stack, outermost first."""

    loop: int
    task: int
    start: int
    end: int
    at: Site | None
    stack: tuple[Site, ...] = ()


@dataclass(frozen=True, slots=True)
class Collection:
    """A run of the garbage collector."""

    start: int
    end: int
    generation: int


class Timeline:
    """Collects events, then answers queries. Events of a loop arrive in the order of their ends."""

    def __init__(self, place: Callable[[int], Site | None] = lambda _number: None, most: int = MOST_EVENTS) -> None:
        """`place`: looks up a numbered place of the probe (a site or None). `most`: limit of events."""
        self._most = most
        self.lives: dict[int, Life] = {}
        self.runs: dict[int, list[Run]] = {}
        self.collections: list[Collection] = []
        self.blocked: list[Blocked] = []
        self.begin = self.end = 0
        self.overwritten = self.left_out = 0
        self.objects: dict[int, str] = {}
        """Names of the objects that tasks wait on, by number."""
        self._count = 0
        self._place = place
        self._decoder = Decoder()
        self._starts: dict[int, list[int]] = {}
        self._running: list[Run] = []

    # Adding events

    def feed(self, data: bytes, offset: int, overwritten: int = 0) -> None:
        """Add a piece of a ring."""
        self.set_running([])
        if overwritten:
            self.overwritten += overwritten
            self._decoder.lost()
        for event in self._decoder.decode(data, offset):
            self.add(event)

    def add(self, event: Event) -> None:
        """Add an event of the step ring, in order of time; those beyond the limit are counted in `left_out`."""
        if self._count >= self._most:
            self.left_out += 1
            return
        self._count += 1
        kind, at = event.kind, event.at
        if not self.begin:
            self.begin = at
        until = at
        if kind <= Kind.CALL_HANDLE:
            until = at + event.ran * UNIT
            ready = None if event.queued == NOT_KNOWN else at - event.queued * UNIT
            step = kind <= Kind.STEP_OUTSIDE
            run = Run(event.loop, event.task if step else 0, ready, at, until, Kind(kind), event.waker)
            if step:
                self.life(event.task).steps.append(run)
            else:
                run.site = self._place(event.task)
            self.runs.setdefault(event.loop, []).append(run)
            self._starts.pop(event.loop, None)
        elif kind == Kind.WAIT:
            number = event.waker >> PLACE_BITS
            waking = self._place(event.waker & (1 << PLACE_BITS) - 1)
            name = self.objects.get(number, "")
            innermost, package = self._place(event.ran & PLACE), self._place(event.ran >> PLACE_BITS)
            wait = Wait(at, innermost, self._place(event.queued), waking, number, name, package)
            self.life(event.task).waits.append(wait)
        elif kind == Kind.BORN:
            life = self.life(event.task)
            life.born, life.parent, life.loop = at, event.waker, event.loop
            life.site, life.code = self._place(event.ran), self._place(event.queued)
            if life.code is not None and not life.coro:
                life.coro = life.code.function
        elif kind == Kind.END:
            life = self.life(event.task)
            life.ended, life.outcome = at, OUTCOMES.get(event.ran, "")
        elif kind == Kind.GC:
            until = at + event.ran * UNIT
            self.collections.append(Collection(at, until, event.task))
        self.begin = min(self.begin, at)
        self.end = max(self.end, until)

    def set_running(self, running: list[Run]) -> None:
        """Add what runs now, until the next piece of the ring comes: it has no event before it ends."""
        for run in self._running:
            for runs in self._lists_of(run):
                index = next((index for index in range(len(runs) - 1, -1, -1) if runs[index] is run), None)
                if index is not None:
                    del runs[index]
        for run in running:
            for runs in self._lists_of(run):
                runs.append(run)
            self.begin = self.begin or run.start
            self.end = max(self.end, run.end)
        self._running = running

    def _lists_of(self, run: Run) -> list[list[Run]]:
        """Return the lists that a run belongs to."""
        self._starts.pop(run.loop, None)
        return [self.runs.setdefault(run.loop, []), *([self.life(run.task).steps] if run.task else [])]

    def life(self, task: int) -> Life:
        """Return the life of a task, created on first use."""
        found = self.lives.get(task)
        if found is None:
            found = self.lives[task] = Life(task)
        return found

    def drop_before(self, at: int) -> None:
        """Forget everything that was over before a moment (ns), for readers that follow a program for long."""
        self.lives = {number: life for number, life in self.lives.items() if life.ended is None or life.ended >= at}
        for life in self.lives.values():
            if life.born is not None and life.born < at and life.steps and life.steps[0].end < at:
                life.born = None  # its age would have gaps
            life.steps = [run for run in life.steps if run.end >= at]
            life.waits = [wait for wait in life.waits if wait.at >= at]
        self.runs = {loop: [run for run in runs if run.end >= at] for loop, runs in self.runs.items()}
        self.collections = [one for one in self.collections if one.end >= at]
        self.blocked = [one for one in self.blocked if one.end >= at]
        self._starts.clear()
        self._count = sum(map(len, self.runs.values())) + sum(len(life.waits) + 2 for life in self.lives.values())
        self.begin = max(self.begin, at)

    # Queries

    def _starts_of(self, loop: int) -> list[int]:
        starts = self._starts.get(loop)
        if starts is None:
            runs = self.runs.get(loop, [])
            runs.sort(key=lambda run: run.start)
            starts = self._starts[loop] = [run.start for run in runs]
        return starts

    def index_at(self, loop: int, at: int) -> int:
        """Return the index of the last run of a loop that began at or before a moment; -1 for none."""
        return bisect_right(self._starts_of(loop), at) - 1

    def running_at(self, loop: int, at: int) -> Run | None:
        """Return what ran on a loop at a moment."""
        index = self.index_at(loop, at)
        if index < 0:
            return None
        run = self.runs[loop][index]
        return run if run.start <= at <= run.end else None

    def between(self, loop: int, start: int, end: int) -> Iterator[Run]:
        """Yield what ran on a loop during a time, in order."""
        starts = self._starts_of(loop)
        runs = self.runs.get(loop, [])
        first = max(bisect_right(starts, start) - 1, 0)
        for index in range(first, bisect_left(starts, end)):
            if runs[index].end > start:
                yield runs[index]

    def wait_that_ended(self, life: Life, ready: int) -> Wait | None:
        """Return the description of a wait that ended at a moment, if it was long enough to have one."""
        waits = life.waits
        index = bisect_left(waits, ready - UNIT, key=lambda wait: wait.at)
        if index < len(waits) and waits[index].at <= ready + UNIT:
            return waits[index]
        return None

    def waits_without_line(self) -> tuple[int, int]:
        """Return how many long waits have no description, and how many long waits there are."""
        missing = long = 0
        for life in self.lives.values():
            for before, run in pairwise(life.steps):
                if run.ready is not None and run.ready - before.end >= DESCRIBED + COARSE:
                    long += 1
                    missing += self.wait_that_ended(life, run.ready) is None
        return missing, long

    def line_of(self, run: Run) -> Site | None:
        """Return the line at which a run spent its time, if it was sampled, else the function of a callback.

        A slow callback that is no more than adjacent to the run is not it, nor is one of another task.
        """
        site = run.site
        for blocked in self.blocked:
            common = min(blocked.end, run.end) - max(blocked.start, run.start)
            shorter = min(blocked.end - blocked.start, run.end - run.start)
            if blocked.loop != run.loop or blocked.at is None or common <= 0 or 2 * common < shorter:
                continue
            if blocked.task & 0xFFFFFFFF == run.task:
                return blocked.at
            if not blocked.task:  # on some loops only the function is known
                site = blocked.at
        return site

    def collected(self, start: int, end: int) -> int:
        """Return the nanoseconds of garbage collection during a time."""
        return sum(
            max(min(found.end, end) - max(found.start, start), 0)
            for found in self.collections
            if found.start < end and found.end > start
        )
