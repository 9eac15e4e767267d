"""What grows without end: tasks of a creation site, timers of a loop, the memory of the process."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from monitor import formatting as fmt
from monitor.findings.model import Line, Observation
from monitor.findings.rules.figure_history import SECOND, Past, Pasts
from monitor.findings.rules.shared import fresh
from monitor.findings.thresholds import Thresholds
from monitor.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEAR = 0.5
"""Of a threshold: what is above keeps a finding."""
_MIB = 1 << 20


@dataclass(slots=True)
class Tasks:
    """Creation sites where more tasks are born than end. Looked at once a second: a crowd takes a moment to count."""

    _alive: Pasts = field(default_factory=Pasts)
    _ended: Pasts = field(default_factory=Pasts)
    _looked: float = 0.0
    _signs: list[Observation] = field(default_factory=list)

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """One sign a site."""
        if store.left:
            return  # the first screen is not here yet: it would look like growth
        if store.now - self._looked >= SECOND:
            self._looked = store.now
            self._signs = list(self._look(store, thresholds))
        yield from self._signs

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
            past, ended = self._alive.of(site), self._ended.of(site)
            past.add(store.now, number, window)
            ended.add(store.now, ends.get(site, 0), window)
            grown = past.grown(window)
            if grown < least * _NEAR:
                continue
            since = past.values[0][0]
            over = ended.values[-1][1] - ended.values[0][1]
            yield Observation(
                "tasks_growing",
                site,
                f"{number} tasks made at this line live, {grown:.0f} more than {store.now - since:.0f} s ago",
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


@dataclass(slots=True)
class Queues:
    """Queues that hold more and more."""

    _pasts: Pasts = field(default_factory=Pasts)
    _looked: float = 0.0
    _signs: list[Observation] = field(default_factory=list)

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """One sign a queue."""
        signs = fresh(store)
        if signs is None:
            return
        if signs.at != self._looked:
            self._looked = signs.at
            self._signs = list(self._look(store, thresholds))
        yield from self._signs

    def _look(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        window, least = thresholds.of("queue_growing", "window"), thresholds.of("queue_growing", "least")
        signs = store.signs
        self._pasts.keep({queue.number for queue in signs.queues})
        for queue in signs.queues:
            past = self._pasts.of(queue.number)
            past.add(signs.at, queue.size, window)
            grown = past.grown(window)
            if grown < least * _NEAR:
                continue
            since, before = past.values[0]
            bound = "no bound" if queue.most is None else f"a bound of {queue.most}"
            yield Observation(
                "queue_growing",
                queue.number,
                f"{queue.label} holds {queue.size}, {grown:.0f} more than {signs.at - since:.0f} s ago; it has {bound}",
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
    """Loops whose timers grow faster than the tasks that sleep."""

    _pasts: Pasts = field(default_factory=Pasts)

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """One sign a loop."""
        window, least = thresholds.of("timers_piling_up", "window"), thresholds.of("timers_piling_up", "least")
        for loop in store.loops.values():
            if loop.timers is None:
                continue
            # Each task sleeps on one timer at most: what is beyond their number was set by call_later and call_at.
            beyond = max(loop.timers - len(store.tasks), 0)
            past = self._pasts.of(loop.id)
            past.add(store.now, beyond, window)
            grown = past.grown(window)
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
                since=past.values[0][0],
            )


def _calls(store: Store, loop: int) -> Iterator[Line]:
    """What the timers call, by a sample."""
    for timers in store.signs.timers:
        if timers.loop == loop:
            sampled = sum(number for _, number in timers.calls)
            for callback, number in timers.calls:
                yield Line(f"{fmt.percent(number / sampled if sampled else None)} call {callback}", None)


@dataclass(slots=True)
class Memory:
    """Memory that grows without a pause: what is traced while tracing is on, and what is resident."""

    _resident: Past = field(default_factory=Past)
    _traced: Past = field(default_factory=Past)
    _since: int = 0  # when the tracing began whose values `_traced` has

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """One sign for the process, and one for what is traced."""
        window = thresholds.of("memory_growing", "window")
        process, tracing = store.process, store.memory.tracing
        if process.rss is not None:
            self._resident.add(process.measured, process.rss, window)
            least = thresholds.of("memory_growing", "least") * _MIB
            yield from _memory(self._resident, process.rss, "rss", window, least)
        if tracing is None:
            return
        if tracing.since != self._since:
            self._since, self._traced = tracing.since, Past()
        self._traced.add(store.now, tracing.traced, window)
        least = thresholds.of("memory_growing", "traced") * _MIB
        for sign in _memory(self._traced, tracing.traced, "traced", window, least):
            yield replace(sign, **_grown_most(store))


def _memory(past: Past, now: int, what: str, window: float, least: float) -> Iterator[Observation]:
    grown = past.grown(window, 4)
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
        since=past.values[0][0],
    )


def _grown_most(store: Store) -> dict[str, Any]:
    """The lines that grew most, if somebody has looked since tracing began."""
    look = store.memory.look
    rows = [row for row in look.rows if row.size_diff > 0][:3] if look is not None else []
    if not rows:
        return {}
    lines = tuple(Line(f"+{fmt.size(row.size_diff)} in {row.count_diff:+d} blocks", row.site) for row in rows)
    return {"site": rows[0].site, "lines": lines}
