"""Rules for what grows without end: tasks of a creation site, queues, timers of a loop, memory of the process."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from monitor import formatting as fmt
from monitor.findings.model import Line, Observation
from monitor.findings.rules.figure_history import SECOND, FigureHistories, FigureHistory
from monitor.findings.rules.shared import OncePerScan
from monitor.findings.thresholds import Thresholds
from monitor.store.past import COARSE, FINE, PROCESS, ROWS
from monitor.store.store import Store
from monitor.store.task_names import called

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.store.model import Site, Task
    from monitor.store.sync_scan import SyncScan

_NEAR = 0.5
"""Share of a threshold above which a finding is kept."""
_MIB = 1 << 20


@dataclass(slots=True)
class Tasks:
    """Creation sites where more tasks are created than end; evaluated once a second, since counting takes time."""

    _alive: FigureHistories = field(default_factory=FigureHistories)
    _ended: FigureHistories = field(default_factory=FigureHistories)
    _looked: float = 0.0
    _observations: list[Observation] = field(default_factory=list)

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """Yields one observation per site."""
        if store.left or store.lacks_tasks:  # those that are to come are not new
            return
        if store.now - self._looked >= SECOND:
            self._looked = store.now
            self._observations = list(self._look(store, thresholds))
        yield from self._observations

    def _look(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        window, least = thresholds.of("tasks_growing", "window"), thresholds.of("tasks_growing", "least")
        most_ended = thresholds.of("tasks_growing", "ended")
        alive = store.tasks.sites()
        ends = {stats.site: stats.ended for stats in store.sites.values()}
        self._alive.keep(set(alive))
        self._ended.keep(set(alive))
        for site, number in alive.items():
            if site is None:
                continue
            history, ended = self._alive.of(site), self._ended.of(site)
            history.add(store.now, number, window)
            ended.add(store.now, ends.get(site, 0), window)
            grown = history.grown(window)
            if grown < least * _NEAR:
                continue
            since = history.values[0][0]
            over = ended.values[-1][1] - ended.values[0][1]
            yield Observation(
                "tasks_growing",
                site,
                f"{number} tasks created at this line are alive, {grown:.0f} more than {store.now - since:.0f} s ago",
                strong=grown >= least and over <= (grown + over) * most_ended,
                at_once=True,
                site=site,
                evidence={
                    "tasks": number,
                    "more": round(grown),
                    "window": round(store.now - since, 1),
                    "ended": round(over),
                },
                since=since,
            )


PIECES = 10
_EVERY = 10.0
"""Seconds between two looks at slow growth."""
_HOUR = 3600.0


@dataclass(slots=True)
class SlowTasks:
    """Creation sites of which a few more tasks are alive all the time, computed from what the probe remembers.

    The number of all tasks must have grown in each tenth of the past, and not more slowly at its end. That the tasks of
    a site are the reason is known from their births: those that are alive were born all through the past, and there
    are more of them than have ended at all sites together.
    """

    _looked: float = 0.0
    _observations: list[Observation] = field(default_factory=list)

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """Yields one observation per site; evaluated every ten seconds, since all tasks are looked at."""
        if store.left or store.lacks_tasks:  # those that are to come are not new
            return
        if abs(store.now - self._looked) >= _EVERY:
            self._looked = store.now
            self._observations = list(self._look(store, thresholds))
        yield from self._observations

    def _look(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        least = 3 * thresholds.of("tasks_growing", "least")
        reported: set[Site] = set()
        hours = store.past.of(PROCESS, COARSE)
        known = 0.0 if hours is None else hours.rows * hours.step
        for past in (thresholds.of("tasks_growing", "past"), *([known] if known >= _HOUR else ())):
            grown = _steady_growth(store, past)
            if grown is None or grown < least:
                continue
            for site, coro, more in _kept(store, past, grown, least):
                if site not in reported:
                    reported.add(site)
                    yield _slow_growth(store, site, coro, more, past)


def not_judged(store: Store, thresholds: Thresholds) -> str:
    """That the past is too short for slow growth, in a sentence; empty if it is long enough, or if there is none."""
    after = thresholds.of("tasks_growing", "past")
    figures = store.past.of(PROCESS, FINE if after <= ROWS[FINE] * FINE else COARSE)
    known = 0.0 if figures is None else figures.rows * figures.step
    if not known or known >= after or "tasks_growing" in thresholds.off:
        return ""
    return f"slow growth is judged after {fmt.age(after)} ({fmt.age(known)} so far)"


def _steady_growth(store: Store, past: float) -> float | None:
    """How many more tasks are alive than that many seconds ago, if they became more all the time at about one rate."""
    figures = store.past.of(PROCESS, FINE if past <= ROWS[FINE] * FINE else COARSE)
    values = () if figures is None else figures.columns.get("tasks", ())
    number = round(past / figures.step) if figures is not None else 0
    if number < PIECES or len(values) < number or min(values[-number:]) < 0:
        return None
    each = number // PIECES
    means = [sum(values[-end - each :][:each]) / each for end in range(each * (PIECES - 1), -1, -each)]
    steps = [after - before for before, after in itertools.pairwise(means)]
    grown = sum(steps) * PIECES / (PIECES - 1)
    third = len(steps) // 3
    first, last = sum(steps[:third]), sum(steps[-third:])
    if grown <= 0 or min(steps) < _NEAR / 2 * grown / PIECES or last < 0.8 * first - 2 * max(first, 0.0) ** 0.5:
        return None
    return grown


def _kept(store: Store, past: float, grown: float, least: float) -> Iterator[tuple[Site, str, int]]:
    """The sites of the growth: a coroutine of theirs, and how many more of their tasks there are at least.

    Those tasks were born all through the past, and stay without doing anything.
    """
    begin = store.now - past
    young: dict[Site, list[Task]] = {}
    number = 0
    for task in store.tasks.values():
        if task.born is not None and task.born >= begin:
            number += 1
            if task.site is not None:
                young.setdefault(task.site, []).append(task)
    ended = max(number - grown, 0.0)  # of those that are older, so many have ended, of whichever site
    for site, tasks in young.items():
        if len(tasks) - ended < max(least, len(tasks) * _NEAR):
            continue
        pieces = [0] * PIECES
        for task in tasks:
            pieces[min(int(((task.born or 0.0) - begin) / past * PIECES), PIECES - 1)] += 1
        old = [task for task in tasks if store.now - (task.born or 0.0) >= past / PIECES]
        idle = sum(_is_idle(task, store.now) for task in old)
        if min(pieces) >= _NEAR / 2 * len(tasks) / PIECES and idle >= 0.8 * len(old):
            yield site, tasks[-1].coro, round(len(tasks) - ended)


def _is_idle(task: Task, now: float) -> bool:
    """Whether a task has made next to no steps for its age, or none since this viewer came, if that is long."""
    return task.steps < 5 + (now - (task.born or now)) / 60 or now - task.since >= 30


def _slow_growth(store: Store, site: Site, coro: str, more: int, past: float) -> Observation:
    alive = store.tasks.sites()[site]
    ago = f"{past / 60:.0f} min" if past < 2 * _HOUR else f"{past / _HOUR:.1f} h"
    return Observation(
        "tasks_growing",
        site,
        f"{fmt.count(alive)} tasks of {called('', coro)} are alive, {fmt.count(more)} more than {ago} ago, steadily",
        at_once=True,
        site=site,
        evidence={"tasks": alive, "more": more, "window": round(past, 1)},
        since=store.now - past,
    )


@dataclass(slots=True)
class Queues(OncePerScan):
    """Queues whose size keeps growing."""

    _histories: FigureHistories = field(default_factory=FigureHistories)

    def _look(self, scan: SyncScan, _: Store, thresholds: Thresholds) -> Iterator[Observation]:
        window, least = thresholds.of("queue_growing", "window"), thresholds.of("queue_growing", "least")
        self._histories.keep({queue.number for queue in scan.queues})
        for queue in scan.queues:
            history = self._histories.of(queue.number)
            history.add(scan.at, queue.size, window)
            grown = history.grown(window)
            if grown < least * _NEAR:
                continue
            since, before = history.values[0]
            bound = "no maxsize" if queue.most is None else f"maxsize {queue.most}"
            yield Observation(
                "queue_growing",
                queue.number,
                f"{queue.label} holds {queue.size}, {grown:.0f} more than {scan.at - since:.0f} s ago; {bound}",
                strong=grown >= least,
                at_once=True,
                site=queue.site,
                evidence={
                    "queue": queue.label,
                    "size": queue.size,
                    "before": round(before),
                    "more": round(grown),
                    "maxsize": queue.most,
                    "getters": queue.getters,
                },
                since=since,
            )


@dataclass(slots=True)
class Timers:
    """Loops whose timers grow faster than their sleeping tasks."""

    _histories: FigureHistories = field(default_factory=FigureHistories)

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """Yields one observation per loop."""
        window, least = thresholds.of("timers_piling_up", "window"), thresholds.of("timers_piling_up", "least")
        for loop in store.loops.values():
            if loop.timers is None:
                continue
            # A task sleeps on one timer at most: the others were set by call_later and call_at.
            beyond = max(loop.timers - len(store.tasks), 0)
            history = self._histories.of(loop.id)
            history.add(store.now, beyond, window)
            grown = history.grown(window)
            if grown < least * _NEAR:
                continue
            yield Observation(
                "timers_piling_up",
                loop.id,
                f"{fmt.count(loop.timers)} timers are set, {grown:g} more than {window:g} s ago",
                strong=grown >= least,
                at_once=True,
                lines=tuple(_calls(store, loop.id)),
                evidence={"timers": loop.timers, "more": round(grown), "window": window, "loop": loop.id},
                since=history.values[0][0],
            )


def _calls(store: Store, loop: int) -> Iterator[Line]:
    """The callbacks of a sample of the timers, with their shares."""
    for timers in store.sync_scan.timers:
        if timers.loop == loop:
            sampled = sum(number for _, number in timers.calls)
            for callback, number in timers.calls:
                yield Line(f"{fmt.percent(number / sampled if sampled else None)} call {callback}", None)


@dataclass(slots=True)
class Memory:
    """Memory that grows without a pause: resident memory, and traced memory while tracing is on."""

    _resident: FigureHistory = field(default_factory=FigureHistory)
    _traced: FigureHistory = field(default_factory=FigureHistory)
    _since: int = 0  # start of the tracing that the values in `_traced` are from

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """Yields one observation for the process, and one for traced memory."""
        window = thresholds.of("memory_growing", "window")
        process, tracing = store.process, store.memory.tracing
        if process.rss is not None:
            self._resident.add(process.measured, process.rss, window)
            least = thresholds.of("memory_growing", "least") * _MIB
            yield from _memory(self._resident, process.rss, "rss", window, least)
        if tracing is None:
            return
        if tracing.since != self._since:
            self._since, self._traced = tracing.since, FigureHistory()
        self._traced.add(store.now, tracing.traced, window)
        least = thresholds.of("memory_growing", "traced") * _MIB
        for observation in _memory(self._traced, tracing.traced, "traced", window, least):
            yield replace(observation, **_grown_most(store))


@dataclass(slots=True)
class StandsHigh:
    """Tasks or descriptors that grew, as far as the probe remembers, and now stay while nothing happens.

    And descriptors near their limit, whatever was before.
    """

    _looked: float = 0.0
    _observations: list[Observation] = field(default_factory=list)

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """Yields one observation for tasks and one for descriptors; evaluated once a second."""
        if abs(store.now - self._looked) >= SECOND:
            self._looked = store.now
            self._observations = list(self._look(store, thresholds))
        yield from self._observations

    def _look(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        still, least = thresholds.of("stands_high", "still"), thresholds.of("stands_high", "least")
        fds, most = store.process.fds, store.process.fds_most
        near = fds is not None and most is not None and fds >= most * thresholds.of("stands_high", "share")
        rest = None if near else _at_rest(store, still)
        if near or rest:
            figures = _known(store, ("fds",))
            before = _before(figures, round(still), least)
            limit = "" if most is None else f" (limit {fmt.count(most)})"
            if near or before is not None:
                grown = "" if before is None else f", up from {fmt.count(before)}, and nothing happens"
                yield Observation(
                    "stands_high",
                    "fds",
                    f"{fmt.count(fds)} descriptors are open{limit}{grown}",
                    at_once=True,
                    evidence={"fds": fds, "most": most, "before": before},
                )
        if not rest:
            return
        before = _before(_known(store, ("running", "scheduled", "waiting")), round(still), least)
        if before is not None:
            sites = store.tasks.sites()
            site = max(sites, key=lambda one: sites[one], default=None)
            yield Observation(
                "stands_high",
                "tasks",
                f"{fmt.count(len(store.tasks))} tasks are alive, up from {fmt.count(before)}, and nothing happens",
                at_once=True,
                site=site,
                evidence={"tasks": len(store.tasks), "before": before},
            )


def _known(store: Store, names: tuple[str, ...]) -> list[int]:
    """The sum of some figures of the process over the known past: each ten seconds, then each second."""
    found: list[int] = []
    fine = store.past.of(PROCESS, FINE)
    for figures in (store.past.of(PROCESS, COARSE), fine):
        if figures is None or any(name not in figures.columns for name in names):
            continue
        rows = list(zip(*(figures.columns[name] for name in names), strict=True))
        if figures.step == COARSE and fine is not None:
            rows = rows[: max(round((fine.start - figures.start) / COARSE), 0)]
        found += [sum(row) for row in rows if min(row) >= 0]
    return found


def _before(values: list[int], still: int, least: float) -> int | None:
    """The lowest value before a growth that has ended: for `still` values it has stood within 2 %, and never fell."""
    standing, earlier = values[-still:], values[:-still]
    if len(standing) < still or not earlier:
        return None
    now, low = standing[-1], min(earlier)
    if now - low < max(least, now / 2) or max(standing) - min(standing) > max(now * 0.02, 1):
        return None
    after = earlier[earlier.index(low) :]
    highest = list(itertools.accumulate(after, max))
    fell = max(high - value for high, value in zip(highest, after, strict=True))
    return low if fell <= (now - low) * 0.1 else None


def _at_rest(store: Store, still: float) -> bool:
    """Whether the loops do next to nothing: fewer steps a second than a twentieth of what is there."""
    steps = 0.0
    for loop in store.past.loops():
        figures = store.past.of(loop, FINE)
        values = () if figures is None else figures.columns.get("steps", ())[-round(still) :]
        steps += sum(max(value, 0) for value in values) / max(len(values), 1)
    return steps <= max(5.0, 0.05 * max(len(store.tasks), store.process.fds or 0))


def _memory(history: FigureHistory, now: int, what: str, window: float, least: float) -> Iterator[Observation]:
    grown = history.grown(window, 4)
    if grown < least * _NEAR:
        return
    words = {"rss": "resident memory", "traced": "traced memory"}[what]
    yield Observation(
        "memory_growing",
        what,
        f"{words} is {fmt.size(now)}, {fmt.size(round(grown))} more than {window:g} s ago",
        strong=grown >= least,
        at_once=True,
        evidence={what: now, "more": round(grown), "window": window},
        since=history.values[0][0],
    )


def _grown_most(store: Store) -> dict[str, Any]:
    """The lines that grew most, if a snapshot was taken since tracing began."""
    look = store.memory.snapshot
    rows = [row for row in look.rows if row.size_diff > 0][:3] if look is not None else []
    if not rows:
        return {}
    lines = tuple(Line(f"+{fmt.size(row.size_diff)} in {row.count_diff:+d} blocks", row.site) for row in rows)
    return {"site": rows[0].site, "lines": lines}
