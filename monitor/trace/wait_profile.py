"""Sums up what tasks waited for, by kind, object or peer, and line; per group and for all tasks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.trace.events import Kind
from monitor.trace.parts import wake_of, woken_by_end
from monitor.trace.timeline import DESCRIBED
from monitor.trace.waiting import is_pool, waited_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.store.model import Site
    from monitor.store.store import Store
    from monitor.trace.timeline import Life, Timeline

BRIEF = "short waits"
"""Stands for waits too short to be described one by one."""
NOT_DESCRIBED = "not described"
"""Stands for longer waits that were too many to be described."""
NOT_READ = "not read"
"""Stands for what live tasks wait on that are too many to be read."""
FOR_TASKS = ("task", "gather")
"""Kinds of waits for other tasks."""
Key = tuple[str, str, "Site | None"]


@dataclass(slots=True)
class Waits:
    """The waits of one kind, on things of one name, at one line."""

    kind: str
    name: str
    at: Site | None
    duration: int = 0  # ns
    count: int = 0
    longest: int = 0
    live: int = 0  # part of `count`: waits that have not ended
    objects: dict[int, int] = field(default_factory=dict)  # duration by known object

    def add(self, duration: int, thing: int, live: bool) -> None:
        """Add a wait: `duration` in nanoseconds, `thing` the number of the object or 0, `live` if it has not ended."""
        self.duration += duration
        self.count += 1
        self.longest = max(self.longest, duration)
        self.live += live
        if thing:
            self.objects[thing] = self.objects.get(thing, 0) + duration

    def take(self, other: Waits) -> None:
        """Add the waits of another."""
        self.duration += other.duration
        self.count += other.count
        self.live += other.live
        self.longest = max(self.longest, other.longest)
        for thing, duration in other.objects.items():
            self.objects[thing] = self.objects.get(thing, 0) + duration


@dataclass(slots=True)
class GroupWaits:
    """The waits of the tasks of one coroutine and label, or of all tasks."""

    coro: str
    label: str | None
    waits: dict[Key, Waits] = field(default_factory=dict)
    tasks: int = 0  # that waited
    count: int = 0  # of all waits

    @property
    def name(self) -> str:
        """The name to show: label and coroutine."""
        return f"{self.coro} {self.label}" if self.label else self.coro

    @property
    def duration(self) -> int:
        """Nanoseconds of all waits together."""
        return sum(one.duration for one in self.waits.values())

    def add(self, kind: str, name: str, at: Site | None, duration: int, thing: int = 0, live: bool = False) -> None:
        """Add a wait for an object of a kind and name at a line; the rest as in `Waits.add`."""
        key = (kind, name, at)
        waits = self.waits.get(key)
        if waits is None:
            waits = self.waits[key] = Waits(kind, name, at)
        waits.add(duration, thing, live)
        self.count += 1

    def merge(self, other: GroupWaits, *, tasks: bool = True) -> None:
        """Add all waits of another group; `tasks`: also those for other tasks, whose own waits count themselves."""
        self.tasks += other.tasks
        for key, waits in other.waits.items():
            if waits.kind in FOR_TASKS and not tasks:
                continue
            self.count += waits.count
            self.waits.setdefault(key, Waits(waits.kind, waits.name, waits.at)).take(waits)

    def join(self) -> None:
        """Count waits of which less is known with the others at their line: those without a name with the only name of
        their kind, futures with tasks.
        """
        for key, waits in list(self.waits.items()):
            kind, name, at = key
            if name or at is None:
                continue
            named = [one for one in self.waits if one[1] and (one[0], one[2]) == (kind, at)]
            whole = named[0] if len(named) == 1 else ("task", "", at)
            if whole in self.waits and (named or kind == "future"):
                self.waits[whole].take(waits)
                del self.waits[key]

    def ordered(self) -> list[Waits]:
        """The waits, longest first."""
        return sorted(self.waits.values(), key=lambda one: -one.duration)


@dataclass(slots=True)
class WaitProfile:
    """What all tasks of a trace waited for."""

    begin: int
    end: int
    all: GroupWaits
    groups: list[GroupWaits]  # longest first


def wait_profile(
    timeline: Timeline,
    store: Store | None = None,
    coro: str = "",
    label: str | None = None,
    is_read: Callable[[int, int], bool] = lambda _task, _since: True,
) -> WaitProfile:
    """Sum up all waits in a trace. `store`: has what live tasks wait on now, as far as it is so since a time (ns),
    says `is_read`. `coro`: selects one group.
    """
    groups: dict[tuple[str, str | None], GroupWaits] = {}
    for life in timeline.lives.values():
        if coro and (life.coro, life.label) != (coro, label):
            continue
        group = groups.get((life.coro, life.label))
        if group is None:
            group = groups[life.coro, life.label] = GroupWaits(life.coro, life.label)
        before = group.count
        _count(timeline, life, group, store, is_read)
        group.tasks += group.count > before
    everything = GroupWaits("", None)
    for group in groups.values():
        group.join()
        everything.merge(group, tasks=bool(coro))
    everything.join()
    listed = sorted((group for group in groups.values() if group.waits), key=lambda group: -group.duration)
    return WaitProfile(timeline.begin, timeline.end, everything, listed)


def _count(
    timeline: Timeline, life: Life, group: GroupWaits, store: Store | None, is_read: Callable[[int, int], bool]
) -> None:
    before: int | None = None
    for step in life.steps:
        since, before = before, step.end
        if since is None or step.kind in (Kind.STEP_SELF, Kind.STEP_BORN):
            continue
        ready = step.start if step.ready is None else step.ready
        if ready - since < DESCRIBED:
            if ready > since:
                group.add(BRIEF, "", None, ready - since)
            continue
        wait = timeline.wait_that_ended(life, ready)
        if wait is None:
            group.add(NOT_DESCRIBED, "", None, ready - since)
            continue
        wake = wake_of(timeline, life, step, since)
        on = waited_on(wait, wake.by, woken_by_end(timeline, wake))
        if wake.waited_until > since:
            group.add(on.kind, on.repr, wait.users or wait.innermost, wake.waited_until - since, on.object)
    task = None if store is None or life.ended is not None else store.tasks.get(life.id)
    if before is None and life.born is None and task is not None and task.state_name == "waiting":
        before = timeline.begin  # it has not run all the time
    if life.ended is None and before is not None and timeline.end - before >= DESCRIBED:
        kind = None if task is None or not is_read(life.id, before) else task.wait_kind
        at = None if task is None or kind is None else task.at
        if kind in ("queue", "lock", "semaphore", "condition", "future") and is_pool(at):
            kind = "pool"
        group.add(kind or NOT_READ, "", at, timeline.end - before, live=True)
