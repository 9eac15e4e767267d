"""What grows without end: tasks of a creation site, timers of a loop, the memory of the process."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from monitor import format as fmt
from monitor.findings.model import Line, Sign
from monitor.findings.thresholds import Thresholds
from monitor.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

_SECOND = 0.95
"""Between two values that are kept; a little less than the second at which they come."""
_NEAR = 0.5
"""Of a threshold: what is above keeps a finding."""
_STALE = 15.0
"""Seconds after which a look of the probe says nothing of now."""
_MIB = 1 << 20


@dataclass(slots=True)
class Past:
    """Values of one figure, a second apart, over a window."""

    values: deque[tuple[float, float]] = field(default_factory=deque)

    def add(self, at: float, value: float, window: float) -> None:
        """Keeps a value if a second has passed; forgets what is older than the window."""
        values = self.values
        if values and at - values[-1][0] < _SECOND:
            return
        values.append((at, value))
        while len(values) > 2 and values[1][0] <= at - window:
            values.popleft()

    def grown(self, window: float, pieces: int = 0) -> float:
        """By how much it grew over the window; 0.0 if it did not grow in each second (or in each of the pieces)."""
        values = self.values
        if len(values) < 3 or values[-1][0] - values[0][0] < window * 0.9:
            return 0.0
        if pieces:
            step = max(len(values) // pieces, 1)
            chosen = [value for _, value in list(values)[::-1][::step]][::-1]
        else:
            chosen = [value for _, value in values]
        if any(after <= before for before, after in itertools.pairwise(chosen)):
            return 0.0
        return values[-1][1] - values[0][1]


@dataclass(slots=True)
class Pasts:
    """One past for each thing that is there."""

    pasts: dict[Hashable, Past] = field(default_factory=dict)

    def of(self, key: Hashable) -> Past:
        """The past of a thing; a new one when it is met first."""
        past = self.pasts.get(key)
        if past is None:
            past = self.pasts[key] = Past()
        return past

    def keep(self, keys: set[Hashable]) -> None:
        """Forgets what is not there any more."""
        for key in self.pasts.keys() - keys:
            del self.pasts[key]


@dataclass(slots=True)
class Tasks:
    """Creation sites where more tasks are born than end. Looked at once a second: a crowd takes a moment to count."""

    _alive: Pasts = field(default_factory=Pasts)
    _ended: Pasts = field(default_factory=Pasts)
    _looked: float = 0.0
    _signs: list[Sign] = field(default_factory=list)

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Sign]:
        """One sign a site."""
        if store.left:
            return  # the first screen is not here yet: it would look like growth
        if store.now - self._looked >= _SECOND:
            self._looked = store.now
            self._signs = list(self._look(store, thresholds))
        yield from self._signs

    def _look(self, store: Store, thresholds: Thresholds) -> Iterator[Sign]:
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
            yield Sign(
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
    _signs: list[Sign] = field(default_factory=list)

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Sign]:
        """One sign a queue."""
        signs = store.signs
        if not signs.at or store.now - signs.at > _STALE:
            return
        if signs.at != self._looked:
            self._looked = signs.at
            self._signs = list(self._look(store, thresholds))
        yield from self._signs

    def _look(self, store: Store, thresholds: Thresholds) -> Iterator[Sign]:
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
            yield Sign(
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

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Sign]:
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
            yield Sign(
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

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Sign]:
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


def _memory(past: Past, now: int, what: str, window: float, least: float) -> Iterator[Sign]:
    grown = past.grown(window, 4)
    if grown < least * _NEAR:
        return
    words = {"rss": "resident memory", "traced": "traced memory"}[what]
    yield Sign(
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
