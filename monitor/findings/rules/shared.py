"""What tasks share and wait for: locks, pools, semaphores; and tasks that were cancelled and went on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.findings.model import Line, Observation
from monitor.findings.rules.figure_history import Pasts
from monitor.store.cancel_text import words

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from monitor.findings.thresholds import Thresholds
    from monitor.store.model import Site
    from monitor.store.signs import Lock, Signs
    from monitor.store.store import Store

_FRESH = 15.0
"""Seconds after which a look of the probe says nothing of now: of a big crowd it comes less than once a second."""
_TASKS = 12
"""Waiters that are named."""


def fresh(store: Store) -> Signs | None:
    """The newest look, if it is one of now."""
    return store.signs if store.signs.at and store.now - store.signs.at < _FRESH else None


def name_of(store: Store, task: int) -> str:
    """A task in words, also one that is not known (any more)."""
    known = store.tasks.get(task)
    return known.name if known is not None else f"task {task}"


@dataclass(frozen=True, slots=True)
class _Edge:
    """A task waits for the next one: because that one holds a lock, or because it awaits it."""

    task: int
    behind: int
    lock: int | None
    line: Site | None


def deadlocks(store: Store, thresholds: Thresholds) -> Iterator[Observation]:  # noqa: ARG001 - as all rules
    """Cycles of tasks that wait for each other's locks. Each has at least one lock in it."""
    signs = fresh(store)
    if signs is None:
        return
    edges: dict[int, list[_Edge]] = {}
    for lock in signs.locks:
        if lock.holder is not None:
            for task, line in lock.waiters:
                edges.setdefault(task, []).append(_Edge(task, lock.holder, lock.number, line))
    for task, behind in signs.awaits:
        edges.setdefault(task, []).extend(_Edge(task, other, None, None) for other in behind)
    told: set[frozenset[int]] = set()
    for task in edges:
        cycle = _cycle(task, edges)
        if cycle is None or frozenset(edge.task for edge in cycle) in told:
            continue
        told.add(frozenset(edge.task for edge in cycle))
        if any(edge.lock is not None for edge in cycle):
            yield _deadlock(store, cycle)


def _cycle(start: int, edges: dict[int, list[_Edge]]) -> list[_Edge] | None:
    """The shortest way from a task back to itself."""
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
        holder = name_of(store, edge.behind)
        what = f"waits for a lock that {holder} holds" if edge.lock is not None else f"awaits {holder}"
        lines.append(Line(what, edge.line, edge.task, name_of(store, edge.task)))
    names = [name_of(store, edge.task) for edge in cycle]
    # Who is in it and has stepped since is in none: the subject changes with the number of steps.
    steps = tuple(task.steps if (task := store.tasks.get(edge.task)) is not None else 0 for edge in cycle)
    ring = " → ".join([*names[:6], *(["…"] if len(names) > 6 else []), names[0]])
    text = f"{names[0]} waits for itself: {ring}" if len(cycle) == 1 else f"{ring}: each waits for the next"
    return Observation(
        "deadlock",
        (tuple(edge.task for edge in cycle), steps),
        text,
        task=cycle[0].task,
        name=names[0],
        site=next((edge.line for edge in cycle if edge.line is not None), None),
        lines=tuple(lines),
        evidence={"tasks": len(cycle), "locks": sum(edge.lock is not None for edge in cycle)},
    )


def convoys(store: Store, thresholds: Thresholds) -> Iterator[Observation]:
    """Locks that many tasks wait for, look after look."""
    signs = fresh(store)
    if signs is None:
        return
    least = thresholds.of("lock_convoy", "waiters")
    for lock in signs.locks:
        if lock.waiting >= max(least / 2, 1):
            yield _convoy(store, lock, strong=lock.waiting >= least)


def _convoy(store: Store, lock: Lock, *, strong: bool) -> Observation:
    lines = []
    holder = "it is not known who holds it: it was taken with acquire()"
    if lock.holder is not None:
        holder = f"{name_of(store, lock.holder)} holds it"
        lines.append(Line("holds it", lock.held_at, lock.holder, name_of(store, lock.holder)))
    lines += [
        Line("waits", site, task, name_of(store, task))
        for task, site in sorted(lock.waiters, key=lambda waiter: waiter[0])[:_TASKS]
    ]
    return Observation(
        "lock_convoy",
        lock.number,
        f"{lock.waiting} tasks wait for one lock; {holder}",
        strong=strong,
        task=lock.holder,
        name=None if lock.holder is None else name_of(store, lock.holder),
        site=lock.held_at or (lock.waiters[0][1] if lock.waiters else None),
        lines=tuple(lines),
        evidence={"waiters": lock.waiting, "holder": lock.holder},
    )


def executors(store: Store, thresholds: Thresholds) -> Iterator[Observation]:
    """Pools that have more to do than workers to do it."""
    signs = fresh(store)
    if signs is None:
        return
    least = thresholds.of("executor_saturated", "queued")
    for pool in signs.executors:
        queued = pool.queued / max(pool.most, 1)
        if pool.workers < pool.most or not pool.queued or queued < least / 2:
            continue
        waited = f", the longest for {fmt.duration(pool.waited)}" if pool.waited else ""
        yield Observation(
            "executor_saturated",
            pool.number,
            f"{fmt.count(pool.queued)} jobs wait for the {pool.most} workers of {pool.label}{waited}",
            strong=queued >= least,
            evidence={
                "pool": pool.label,
                "kind": pool.kind,
                "workers": pool.most,
                "queued": pool.queued,
                "waited": round(pool.waited, 6),
            },
        )


def went_on(store: Store, thresholds: Thresholds) -> Iterator[Observation]:  # noqa: ARG001 - as all rules
    """Tasks that were cancelled, and wait for something else now."""
    signs = fresh(store)
    if signs is None:
        return
    for one in signs.went_on:
        task = store.tasks.get(one.task)
        if task is None:
            continue
        by = one.by
        times = "" if one.times == 1 else f" {one.times} times"
        yield Observation(
            "cancel_swallowed",
            one.task,
            f"{task.name} was cancelled{times}{f' {words(by)}' if by is not None else ''} and went on",
            task=one.task,
            name=task.name,
            site=task.site,
            lines=(
                Line("is here now", one.site, one.task, task.name),
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
class Semaphores:
    """Semaphores whose value grows beyond all that could give back what they took before it was seen.

    One that is used less and less grows, too, and one that goes up and down may be met when it is up. So it must have
    grown by more than there were tasks when it was first seen: not all of them can have taken it and given it back.
    """

    _pasts: Pasts = field(default_factory=Pasts)
    _first: dict[int, tuple[int, int]] = field(default_factory=dict)  # its value when it was first seen, and the tasks
    _looked: float = 0.0
    _signs: list[Observation] = field(default_factory=list)

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """One sign a semaphore."""
        signs = fresh(store)
        if signs is None:
            return
        if signs.at != self._looked:
            self._looked = signs.at
            self._signs = list(self._look(signs, len(store.tasks), thresholds))
        yield from self._signs

    def _look(self, signs: Signs, tasks: int, thresholds: Thresholds) -> Iterator[Observation]:
        window = thresholds.of("semaphore_overreleased", "window")
        self._pasts.keep({one.number for one in signs.semaphores})
        for one in signs.semaphores:
            past = self._pasts.of(one.number)
            past.add(signs.at, one.value, window)
            before, takers = self._first.setdefault(one.number, (one.value, tasks))
            if past.grown(window) <= 0 or one.waiting or one.value - before <= takers:
                continue
            first: Hashable = past.values[0][1]
            yield Observation(
                "semaphore_overreleased",
                one.number,
                f"the value of {one.label} grew from {first:g} to {one.value} and was never taken back",
                at_once=True,
                site=one.site,
                evidence={"value": one.value, "before": round(past.values[0][1]), "semaphore": one.label},
                since=past.values[0][0],
            )
