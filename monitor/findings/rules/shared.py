"""Rules for what tasks share and wait for (locks, pools, semaphores), and for cancellations that were swallowed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.findings.model import Line, Observation
from monitor.findings.rules.figure_history import FigureHistories
from monitor.store.cancel_text import named, words
from monitor.store.task_names import title_in, title_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from monitor.findings.thresholds import Thresholds
    from monitor.store.model import Site
    from monitor.store.store import Store
    from monitor.store.sync_scan import Lock, Semaphore, SyncScan

_FRESH = 15.0
"""Seconds after which a scan by the probe is stale; with very many tasks it comes less than once a second."""
TASKS = 10
"""How many waiters, and how many holders, are listed."""


def fresh(store: Store) -> SyncScan | None:
    """The newest scan, unless it is stale."""
    return store.sync_scan if store.sync_scan.at and store.now - store.sync_scan.at < _FRESH else None


def more(number: int, what: str, listed: int = TASKS) -> list[Line]:
    """The line that ends a list of tasks that was cut: `… and 5 more wait`."""
    return [Line(f"… and {number - listed} more {what}", None)] if number > listed else []


def more_wait(number: int, listed: int = TASKS) -> list[Line]:
    """The same of a list of waiters."""
    rest = number - listed
    return more(number, "waits" if rest == 1 else "wait", listed)


@dataclass(slots=True)
class OncePerScan(ABC):
    """A rule that reads the probe's scan and keeps figures of each: it looks once at each scan."""

    _looked: float = field(default=0.0, init=False)
    _observations: list[Observation] = field(default_factory=list, init=False)

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """Yields the observations of the newest scan; none if it is stale."""
        scan = fresh(store)
        if scan is None:
            return
        if scan.at != self._looked:
            self._looked = scan.at
            self._observations = list(self._look(scan, store, thresholds))
        yield from self._observations

    @abstractmethod
    def _look(self, scan: SyncScan, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """Yields the observations of a scan."""


@dataclass(frozen=True, slots=True)
class _Edge:
    """A task waits for another, which holds a lock that it needs or which it awaits."""

    task: int
    behind: int
    lock: int | None
    line: Site | None


def deadlocks(store: Store, thresholds: Thresholds) -> Iterator[Observation]:  # noqa: ARG001 - as all rules
    """Yields cycles of tasks that wait for each other, with at least one lock in each."""
    scan = fresh(store)
    if scan is None:
        return
    edges: dict[int, list[_Edge]] = {}
    for lock in scan.locks:
        if lock.holder is not None:
            for task, line in lock.waiters:
                edges.setdefault(task, []).append(_Edge(task, lock.holder, lock.number, line))
    for task, behind in scan.awaits:
        edges.setdefault(task, []).extend(_Edge(task, other, None, None) for other in behind)
    reported: set[frozenset[int]] = set()
    for task in edges:
        cycle = _cycle(task, edges)
        if cycle is None or frozenset(edge.task for edge in cycle) in reported:
            continue
        reported.add(frozenset(edge.task for edge in cycle))
        if any(edge.lock is not None for edge in cycle):
            yield _deadlock(store, cycle)


def _cycle(start: int, edges: dict[int, list[_Edge]]) -> list[_Edge] | None:
    """The shortest cycle through a task; None if there is none."""
    came: dict[int, _Edge] = {}
    pending = [start]
    for task in pending:
        for edge in edges.get(task, ()):
            if edge.behind == start:
                way = [edge]
                while way[0].task != start:
                    way.insert(0, came[way[0].task])
                return way
            if edge.behind not in came and len(came) < 1000:
                came[edge.behind] = edge
                pending.append(edge.behind)
    return None


def _deadlock(store: Store, cycle: list[_Edge]) -> Observation:
    first = min(range(len(cycle)), key=lambda place: cycle[place].task)
    cycle = cycle[first:] + cycle[:first]
    lines = []
    for edge in cycle:
        holder = title_in(store, edge.behind)
        what = f"waits for a lock that {holder} holds" if edge.lock is not None else f"awaits {holder}"
        lines.append(Line(what, edge.line, edge.task))
    names = [title_in(store, edge.task) for edge in cycle]
    # A task that has made a step is not deadlocked: the subject changes with the number of steps.
    steps = tuple(task.steps if (task := store.tasks.get(edge.task)) is not None else 0 for edge in cycle)
    ring = " → ".join([*names[:6], *(["…"] if len(names) > 6 else []), names[0]])
    text = f"{names[0]} waits for itself: {ring}" if len(cycle) == 1 else f"{ring}: each waits for the next"
    return Observation(
        "deadlock",
        (tuple(edge.task for edge in cycle), steps),
        text,
        task=cycle[0].task,
        site=next((edge.line for edge in cycle if edge.line is not None), None),
        lines=tuple(lines),
        evidence={"tasks": len(cycle), "locks": sum(edge.lock is not None for edge in cycle)},
    )


def convoys(store: Store, thresholds: Thresholds) -> Iterator[Observation]:
    """Yields locks that many tasks wait for."""
    scan = fresh(store)
    if scan is None:
        return
    least = thresholds.of("lock_convoy", "waiters")
    for lock in scan.locks:
        if lock.waiting >= max(least / 2, 1):
            yield _convoy(store, lock, strong=lock.waiting >= least)


def _wait(number: int) -> str:
    return f"{fmt.several(number, 'task')} {'waits' if number == 1 else 'wait'}"


def _convoy(store: Store, lock: Lock, *, strong: bool) -> Observation:
    lines = []
    holder = "a lock; its holder is unknown (taken with acquire())"
    if lock.holder is not None:
        holder = f"a lock held by {title_in(store, lock.holder)}"
        lines.append(Line("holds it", lock.held_at, lock.holder))
    lines += [Line("waits", site, task) for task, site in sorted(lock.waiters, key=lambda waiter: waiter[0])[:TASKS]]
    lines += more_wait(lock.waiting)
    return Observation(
        "lock_convoy",
        lock.number,
        f"{_wait(lock.waiting)} for {holder}",
        strong=strong,
        task=lock.holder,
        site=lock.held_at or (lock.waiters[0][1] if lock.waiters else None),
        lines=tuple(lines),
        evidence={"waiters": lock.waiting, "holder": lock.holder},
    )


@dataclass(slots=True)
class SemaphoreConvoys:
    """Semaphores that many tasks wait for, of which no fewer are left after a while.

    A semaphore that bounds a batch of work has waiters, too, but they become fewer until the batch is done.
    """

    _histories: FigureHistories = field(default_factory=FigureHistories)

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """Yields one observation per semaphore."""
        scan = fresh(store)
        if scan is None:
            return
        least, window = thresholds.of("lock_convoy", "semaphore"), thresholds.of("lock_convoy", "window")
        self._histories.keep({one.number for one in scan.semaphores if one.waiting})
        for one in scan.semaphores:
            if not one.waiting:
                continue
            history = self._histories.of(one.number)
            history.add(scan.at, one.waiting, window)
            (begin, first), (end, last) = history.values[0], history.values[-1]
            if end - begin < window * 0.9 or last < first or min(value for _, value in history.values) < least:
                continue
            yield _semaphore_convoy(store, scan, one, begin)


def _semaphore_convoy(store: Store, scan: SyncScan, one: Semaphore, since: float) -> Observation:
    """The holders are known if nothing has moved at the semaphore for a while: only then are they searched for."""
    still = next((other for other in scan.stuck if other.number == one.number), None)
    holders = [] if still is None else [holder for holder in still.holders if holder.entered]
    waiters = () if still is None else still.waiters
    held = f", held by {title_in(store, holders[0].task)}" if holders else ""
    others = f" and {len(holders) - 1} more" if len(holders) > 1 else ""
    lines = [Line("holds it", holder.site, holder.task) for holder in holders[:TASKS]]
    lines += more(len(holders), "hold it")
    lines += [Line("waits", site, task) for task, site in waiters[:TASKS]]
    lines += more_wait(one.waiting, min(len(waiters), TASKS)) if waiters else []
    return Observation(
        "lock_convoy",
        ("semaphore", one.number),
        f"{fmt.count(one.waiting)} tasks wait for {one.label}{held}{others}",
        at_once=True,
        task=holders[0].task if holders else None,
        site=holders[0].site if holders else one.site,
        lines=tuple(lines),
        evidence={"waiters": one.waiting, "semaphore": one.label, "holders": len(holders) or None},
        since=since,
    )


def executors(store: Store, thresholds: Thresholds) -> Iterator[Observation]:
    """Yields pools with more queued jobs than workers."""
    scan = fresh(store)
    if scan is None:
        return
    least = thresholds.of("executor_saturated", "queued")
    for pool in scan.executors:
        queued = pool.queued / max(pool.most, 1)
        if pool.workers < pool.most or not pool.queued or queued < least / 2:
            continue
        jobs, workers = fmt.several(pool.queued, "job"), fmt.several(pool.most, "worker")
        waited = f", the longest for {fmt.duration(pool.waited)}" if pool.waited else ""
        yield Observation(
            "executor_saturated",
            pool.number,
            f'{jobs} queued for {workers} (pool "{pool.label}"){waited}',
            strong=queued >= least,
            evidence={
                "pool": pool.label,
                "kind": pool.kind,
                "workers": pool.most,
                "queued": pool.queued,
                "waited": round(pool.waited, 6),
            },
        )


def swallowed_cancels(store: Store, thresholds: Thresholds) -> Iterator[Observation]:  # noqa: ARG001 - as all rules
    """Yields tasks that were cancelled and now wait for something else."""
    scan = fresh(store)
    if scan is None:
        return
    for one in scan.swallowed_cancels:
        task = store.tasks.get(one.task)
        if task is None:
            continue
        by = None if one.by is None else named(one.by, store.title_of)
        times = "" if one.times == 1 else f" {one.times} times"
        yield Observation(
            "cancel_swallowed",
            one.task,
            f"{title_of(task)} was cancelled{times}{f' {words(by)}' if by is not None else ''} and continued",
            task=one.task,
            site=task.site,
            lines=(
                Line("is here now", one.site, one.task),
                *((Line("was cancelled here", by.site, by.task, by.name),) if by is not None and by.site else ()),
            ),
            evidence={
                "cancelled": one.times,
                "steps": task.steps,
                "coro": task.coro,
                "cancelled_by": None if by is None else words(by),
            },
        )


@dataclass(slots=True)
class Semaphores(OncePerScan):
    """Semaphores whose value grows beyond what releases of earlier acquisitions can explain.

    The value also grows if a semaphore is used less and less, and it may be low when it is first seen. So it must have
    grown by more than the number of tasks at that time: each of them can have acquired it once before.
    """

    _histories: FigureHistories = field(default_factory=FigureHistories)
    _first: dict[int, tuple[int, int]] = field(
        default_factory=dict
    )  # when first seen: its value, and the number of tasks

    def _look(self, scan: SyncScan, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        window = thresholds.of("semaphore_overreleased", "window")
        self._histories.keep({one.number for one in scan.semaphores})
        for one in scan.semaphores:
            history = self._histories.of(one.number)
            history.add(scan.at, one.value, window)
            before, takers = self._first.setdefault(one.number, (one.value, len(store.tasks)))
            if history.grown(window) <= 0 or one.waiting or one.value - before <= takers:
                continue
            first: Hashable = history.values[0][1]
            yield Observation(
                "semaphore_overreleased",
                one.number,
                f"the value of {one.label} grew from {first:g} to {one.value} and never fell again",
                at_once=True,
                site=one.site,
                evidence={"value": one.value, "before": round(history.values[0][1]), "semaphore": one.label},
                since=history.values[0][0],
            )
