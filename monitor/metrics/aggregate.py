"""Aggregates all workers: counters that never fall, gauges, histograms, with bounded labels.

A worker is a slot. When its process is replaced, the counters of the slot continue from their last values.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.metrics import table
from monitor.metrics.table import DELAY_BOUNDS, Metric
from monitor.store.label_groups import Distribution, middle

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from collections.abc import Set as AbstractSet

    from monitor.store.model import Loop, Site
    from monitor.store.store import Store

Labels = tuple[str, ...]

MOST_LOOPS = 16
"""Limit of loop names per worker: they are names of threads, which the program chooses."""
SILENT = 3.0
"""Seconds without figures of a loop, while there are some of its process, after which its gauges are left out."""
MOST_TEXT = 200
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One task that a histogram has counted. `at`: Unix time of its end."""

    task: int
    value: float
    at: float


@dataclass(slots=True)
class Histogram:
    """A histogram: counts by upper bound (`DELAY_BOUNDS`, then infinity), not cumulative."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(DELAY_BOUNDS) + 1))
    sum: float = 0.0
    exemplars: dict[int, Exemplar] = field(default_factory=dict)  # by bucket: the newest one

    def add(self, seconds: float) -> None:
        """Count a value in its bucket and in the sum."""
        self.counts[bisect_left(DELAY_BOUNDS, seconds)] += 1
        self.sum += seconds

    def point_out(self, one: Exemplar) -> None:
        """Keep an exemplar of its bucket, unless a newer one is known."""
        bucket = bisect_left(DELAY_BOUNDS, one.value)
        known = self.exemplars.get(bucket)
        if self.counts[bucket] and (known is None or known.at < one.at):
            self.exemplars[bucket] = one


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric, with its label values: the worker first, then those of the table."""

    metric: Metric
    labels: Labels
    value: float | Histogram


class Counter:
    """Counters of one metric in one slot, by labels. A source that falls has restarted, and is added from 0."""

    __slots__ = ("_last", "totals")

    def __init__(self) -> None:
        self.totals: dict[Labels, float] = {}
        self._last: dict[object, float] = {}

    def take(self, key: object, labels: Labels, value: float) -> None:
        """Set the current absolute value of one source (`key`) with these labels."""
        last = self._last.get(key, 0.0)
        self._last[key] = value
        self.totals[labels] = self.totals.get(labels, 0.0) + (value - last if value >= last else value)

    def forget(self, key: object) -> None:
        """Drop a source that counts no more."""
        self._last.pop(key, None)

    def begin_session(self) -> None:
        """Expect all sources to count from 0 again: another process is in the slot."""
        self._last.clear()


class Durations:
    """Histograms of one metric in one slot, by label. Sources are the histograms of groups, which only grow."""

    __slots__ = ("_last", "totals")

    def __init__(self) -> None:
        self.totals: dict[str, Histogram] = {}
        self._last: dict[int, tuple[Distribution, float]] = {}

    def take(self, key: int, label: str, now: Distribution, seconds: float) -> Histogram:
        """Add what a source (`key`) has counted since it was last read. `seconds`: its exact sum."""
        histogram = self.totals.setdefault(label, Histogram())
        known, before = self._last.get(key, (Distribution(), 0.0))
        last, counts = dict(known), dict(now)
        if seconds < before or any(counts.get(bucket, 0) < count for bucket, count in last.items()):
            last, before = {}, 0.0  # it has started over
        for bucket, count in counts.items():
            histogram.counts[bisect_left(DELAY_BOUNDS, middle(bucket))] += count - last.get(bucket, 0)
        histogram.sum += seconds - before
        self._last[key] = now, seconds
        return histogram

    def begin_session(self) -> None:
        """Expect all sources to count from 0 again."""
        self._last.clear()


class OwnLabels:
    """Labels for the first lines or groups of a slot; later ones are `other`. A label never changes."""

    __slots__ = ("_labels", "_most")

    def __init__(self, most: int) -> None:
        self._labels: dict[Hashable, str] = {}
        self._most = most

    def label(self, key: Hashable, text: str) -> str:
        """Return the label of `key`: `text` if it is among the first."""
        known = self._labels.get(key)
        if known is None:
            if len(self._labels) >= self._most:
                return OTHER
            known = self._labels[key] = text
        return known


class Worker:
    """One slot: the counters of all its processes so far, and the gauges of the current one."""

    def __init__(self, top: int) -> None:
        self.up = False
        self.starts = 0
        self._session: str | None = None
        self._counters = {
            metric: Counter() for metric in table.METRICS if metric.kind == table.COUNTER and metric is not table.STARTS
        }
        self._delays: dict[str, Histogram] = {}
        self._blocked: dict[str, Histogram] = {}
        self._durations = Durations()
        self._collections = Durations()
        self._groups = OwnLabels(top)
        self._versions: dict[int, int] = {}
        self._gauges: dict[tuple[Metric, Labels], float] = {}
        self._seen_seq = 0
        self._seen_unhandled = 0.0
        self._lags: dict[int, int] = {}  # by loop: number of values of its series already counted
        self._idle: dict[int, tuple[float, float]] = {}  # by loop: time and busy time at the last reading
        self._heard: dict[int, tuple[float, tuple[int, int]]] = {}  # by loop: when its figures changed, and these
        self._sites = OwnLabels(top)
        self._lines = OwnLabels(top)

    def observe(self, store: Store) -> None:
        """Read the store of the process in the slot. Called repeatedly."""
        session = store.session
        if session is None:
            return
        if session.id != self._session:
            self._session = session.id
            self.starts += 1
            for counter in self._counters.values():
                counter.begin_session()
            self._durations.begin_session()
            self._collections.begin_session()
            self._versions.clear()
            self._seen_seq, self._seen_unhandled = 0, 0.0
            self._forget_loops(set(self._heard))
        self._gauges.clear()
        for loop in store.loops.values():
            self._loop(loop, store.now)
        self._forget_loops(self._heard.keys() - store.loops.keys())
        self._tasks(store)
        self._take_groups(store)
        self._slow(store)
        self._process(store)

    def gone(self) -> None:
        """Drop the gauges: no process is in the slot, or it does not answer."""
        self.up = False
        self._gauges.clear()

    # Reading the store

    def _forget_loops(self, gone: AbstractSet[int]) -> None:
        for number in gone:
            for known in (self._lags, self._idle, self._heard):
                known.pop(number, None)
            self._counters[table.TIME].forget((number, "active"))
            self._counters[table.STEPS].forget(number)

    def _loop(self, loop: Loop, now: float) -> None:
        figures = (loop.lags.total, loop.steps)  # each tick has a lag
        at, before = self._heard.get(loop.id, (now, None))
        if figures != before:
            self._heard[loop.id] = now, figures
        elif now - at > SILENT:
            return  # it has ended
        name = loop.name[:MOST_TEXT] or str(loop.id)
        if name not in self._delays and len(self._delays) >= MOST_LOOPS:
            name = OTHER
        delays = self._delays.setdefault(name, Histogram())
        new = loop.lags.total - self._lags.get(loop.id, 0)
        self._lags[loop.id] = loop.lags.total
        for lag in loop.lags.last(min(new, len(loop.lags.values))) if new > 0 else ():
            delays.add(lag)
        labels = (name,)
        if loop.busy is not None:
            before_at, before_busy = self._idle.get(loop.id, (now, loop.busy))
            idle = max((now - before_at) - max(loop.busy - before_busy, 0.0), 0.0)
            self._idle[loop.id] = (now, loop.busy)
            times = self._counters[table.TIME]
            times.take((loop.id, "active"), (name, "active"), loop.busy)
            times.totals[name, "idle"] = times.totals.get((name, "idle"), 0.0) + idle
        self._counters[table.STEPS].take(loop.id, labels, loop.steps)
        self._set(table.UTILIZATION, labels, loop.utilization)
        self._set(table.BLOCKED_NOW, labels, loop.blocked)
        self._set(table.READY, labels, loop.ready)
        self._set(table.TIMERS, labels, loop.timers)

    def _set(self, metric: Metric, labels: Labels, value: float | None) -> None:
        if value is not None:  # of several loops with one name, the worst
            key = (metric, labels)
            self._gauges[key] = max(self._gauges.get(key, value), value)

    def _tasks(self, store: Store) -> None:
        self._set(table.TASKS, (), store.probe.tasks)
        created, ended = self._counters[table.CREATED], self._counters[table.ENDED]
        busiest = sorted(store.sites.items(), key=lambda item: -item[1].born)
        for number, stats in busiest:
            text = line_of(stats.site)
            site = self._sites.label(text, text)
            created.take(number, (site,), stats.born)
            ended.take((number, "failed"), (site, "failed"), stats.failed)
            ended.take((number, "cancelled"), (site, "cancelled"), stats.cancelled)
            ended.take((number, "done"), (site, "done"), max(stats.ended - stats.failed - stats.cancelled, 0))
        new = [one for one in store.unhandled if one.at > self._seen_unhandled]
        if new:
            self._seen_unhandled = new[-1].at
        totals = self._counters[table.UNHANDLED].totals
        totals[()] = totals.get((), 0.0) + len(new)

    def _take_groups(self, store: Store) -> None:
        live: dict[str, int] = {}
        for group in sorted(store.label_groups.values(), key=lambda one: -one.started):
            label = self._groups.label((group.coro, group.label), group.name[:MOST_TEXT])
            live[label] = live.get(label, 0) + group.live
            if self._versions.get(group.number) == group.version:
                continue
            self._versions[group.number] = group.version
            outcomes, parts = self._counters[table.OUTCOMES], self._counters[table.PARTS]
            done = max(group.ended - group.failed - group.cancelled, 0)
            for outcome, count in (("done", done), ("failed", group.failed), ("cancelled", group.cancelled)):
                outcomes.take((group.number, outcome), (label, outcome), count)
            if group.responses:
                self._counters[table.ERRORS].take(group.number, (label,), group.errors)
            for part, seconds in zip(("ran", "queued", "waited"), group.sums[1:], strict=True):
                parts.take((group.number, part), (label, part), seconds)
            histogram = self._durations.take(group.number, label, group.age, group.sums[0])
            for one in group.slowest:
                if one.ended is not None:
                    histogram.point_out(Exemplar(one.task, one.age, one.ended))
        for label, count in live.items():
            self._set(table.LIVE, (label,), count)

    def _slow(self, store: Store) -> None:
        for slow in store.slow.since(self._seen_seq):
            self._seen_seq = slow.seq
            text = "unknown" if slow.line is None else line_of(slow.line)
            line = self._lines.label(text, text)
            histogram = self._blocked.setdefault(line, Histogram())
            histogram.add(slow.duration)
            if slow.task:
                histogram.point_out(Exemplar(slow.task, slow.duration, slow.at))

    def _process(self, store: Store) -> None:
        process = store.process
        if process.cpu_total is not None:
            self._counters[table.CPU].take("process", (), process.cpu_total)
        for number, one in enumerate(process.gc):
            generation = str(number)
            for metric, count in (
                (table.GC_RUNS, one.runs),
                (table.GC_COLLECTED, one.collected),
                (table.GC_UNCOLLECTABLE, one.uncollectable),
            ):
                self._counters[metric].take(generation, (generation,), count)
            if one.seconds is not None:
                self._collections.take(number, generation, Distribution.of(one.times), one.seconds)
        self._set(table.MEMORY, (), process.rss)
        self._set(table.FDS, (), process.fds)
        self._set(table.THREADS, (), process.threads)

    # Values

    def points(self, worker: str) -> Iterator[Point]:
        """Yield all values of the slot."""
        yield Point(table.UP, (worker,), float(self.up))
        yield Point(table.STARTS, (worker,), float(self.starts))
        for metric, counter in self._counters.items():
            for labels, total in counter.totals.items():
                yield Point(metric, (worker, *labels), total)
        for name, histogram in self._delays.items():
            yield Point(table.DELAY, (worker, name), histogram)
        for line, histogram in self._blocked.items():
            yield Point(table.BLOCKED, (worker, line), histogram)
        for group, histogram in self._durations.totals.items():
            yield Point(table.DURATION, (worker, group), histogram)
        for generation, histogram in self._collections.totals.items():
            yield Point(table.GC_DURATION, (worker, generation), histogram)
        for (metric, labels), value in self._gauges.items():
            yield Point(metric, (worker, *labels), value)


class Aggregate:
    """The aggregate of all workers. Not thread-safe: hold a lock around `observe` and `points` if it is shared."""

    def __init__(self, top: int = 20) -> None:
        """`top`: number of lines and of creation sites per worker that get labels of their own; the rest is `other`."""
        self._top = top
        self.workers: dict[int, Worker] = {}

    def worker(self, slot: int) -> Worker:
        """Return the worker of a slot, created on first use. It stays when its process has gone."""
        found = self.workers.get(slot)
        if found is None:
            found = self.workers[slot] = Worker(self._top)
        return found

    def points(self) -> list[Point]:
        """Yield all values of all workers, by metric in the order of the table."""
        order = {metric: number for number, metric in enumerate(table.METRICS)}
        found = [point for slot, worker in sorted(self.workers.items()) for point in worker.points(str(slot))]
        return sorted(found, key=lambda point: order[point.metric])


def line_of(site: Site) -> str:
    """Format a site as a label: `api.py:18 handler`, with the last two parts of the path at most."""
    file = "/".join(site.file.rsplit("/", 2)[-2:])
    return f"{file}:{site.line} {site.function}"[:MOST_TEXT]
