"""Summarizes a recording: overall figures, busy time by creation site, slow callbacks by line.

Reads two states and the light parts of the blocks only, so an hour takes well under a second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.errors import UsageError
from monitor.recording.reader import Recording
from monitor.recording.replay_frames import walk
from monitor.store.model import blamed
from monitor.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.recording.of_set import RecordedSet
    from monitor.store.model import Site

LEAST = 1.0
"""Seconds of a recording that must remain after skipping."""

_SECOND = 1e-6


@dataclass(frozen=True, slots=True)
class Place:
    """A line of code, independent of where the project is checked out."""

    file: str
    function: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.function.rpartition('.')[2]}" if self.file else "(not known)"


UNKNOWN = Place("", "", 0)


@dataclass(slots=True)
class Slow:
    """The slow callbacks blamed on one line."""

    count: int = 0
    total: float = 0.0
    worst: float = 0.0


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """The tasks of one coroutine and label: how many ended a second, how, and after how long (s)."""

    ended: int
    per_s: float
    failed: int
    errors: int | None  # responses with status 500 and above; None if no status could be read
    p50: float | None
    p99: float | None


@dataclass(slots=True)
class Figures:
    """The summary of a recording. Rates are per second unless named otherwise, shares are of one core."""

    path: Path
    program: str
    name: str
    start: float
    duration: float
    values: dict[str, float | None] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)  # number of events that a value is based on, by key
    busy: dict[Place, float] = field(default_factory=dict)  # seconds per second, by creation site
    born: dict[Place, float] = field(default_factory=dict)  # tasks per second
    slow: dict[Place, Slow] = field(default_factory=dict)
    groups: dict[str, GroupFigures] = field(default_factory=dict)  # by name; of tasks that ended in the recording
    problems: list[str] = field(default_factory=list)
    processes: tuple[int, ...] = ()  # pids, of a set by worker


def figures(path: str | Path, skip: float = 0.0) -> Figures:
    """Summarize a recording without its first `skip` seconds. Raises UsageError."""
    with Recording(path) as recording:
        begin = recording.start + round(skip * 1e6)
        before, after = _counted(recording, begin), _state(recording, recording.end)
        ticks = [tick for tick in recording.light_ticks() if tick.at >= begin]
        elapsed = (recording.end - begin) * _SECOND  # read last: damaged blocks have been dropped by now
        if elapsed < LEAST:
            length = fmt.duration(recording.duration)
            raise UsageError(f"{path} is too short to be compared: {length}", "record it for longer, or skip less")
        found = Figures(
            path=Path(path),
            program=str(recording.facts.get("program", "")),
            name=str(recording.facts.get("name", "")),
            start=begin * _SECOND,
            duration=elapsed,
            processes=tuple(filter(None, [recording.facts.get("pid")])),
        )
        _of_sites(found, before, after)
        _of_events(found, recording, after, begin, elapsed)
        _of_groups(found, recording, begin, after)
        lags = sorted(max(lag for _, lag, _ in tick.loops) for tick in ticks if tick.loops)
        sizes = [(tick.at * _SECOND, float(tick.rss)) for tick in ticks if tick.rss is not None]
        shares = [max(known) for tick in ticks if (known := [s for _, _, s in tick.loops if s is not None])]
        found.values |= {
            "steps_per_s": _mean([tick.steps_per_s for tick in ticks]),
            "tasks_mean": _mean([tick.tasks for tick in ticks]),
            "tasks_max": max((tick.tasks for tick in ticks), default=None),
            "utilization": _mean(shares),
            "lag_p50": _percentile(lags, 0.5),
            "lag_p90": _percentile(lags, 0.9),
            "lag_p99": _percentile(lags, 0.99),
            "lag_max": lags[-1] if lags else None,
            "rss_mean": _mean([size for _, size in sizes]),
            "rss_max": max((size for _, size in sizes), default=None),
            "rss_growth": _growth(sizes),
            "cpu": _cpu(recording, begin, after),
            "dropped": float(recording.dropped),
        }
        found.problems = list(recording.problems)
    return found


_WORST = {"lag_p50", "lag_p90", "lag_p99", "lag_max", "slow_max", "utilization"}
"""Figures of which a set has those of its worst process; the others are sums over the time of the set."""
_MOST = {"rss_max", "tasks_max"}
"""Figures of which a set has the sum of the most in each slot."""


def of_set(recorded: RecordedSet, skip: float = 0.0) -> Figures:
    """Summarize a recorded set. Raises UsageError if none of its recordings is long enough."""
    begin = recorded.start + skip
    whole = recorded.end - begin
    found = Figures(path=recorded.path, program="", name="", start=begin, duration=max(whole, LEAST))
    each: list[tuple[int, Figures]] = []
    for part in recorded.parts:
        try:
            each.append((part.worker, figures(part.path, max(begin - part.start, 0.0))))
        except UsageError as error:
            found.problems.append(f"worker {part.worker}: {error.message}")
    if not each:
        raise UsageError(f"{recorded.path} is too short to be compared", "record it for longer, or skip less")
    found.program, found.name = each[0][1].program, each[0][1].name
    found.processes = tuple(pid for _, one in each for pid in one.processes)
    for _, one in each:
        share = one.duration / found.duration
        found.problems += one.problems
        for key, count in one.counts.items():
            found.counts[key] = found.counts.get(key, 0) + count
        for place, busy in one.busy.items():
            found.busy[place] = found.busy.get(place, 0.0) + busy * share
        for place, born in one.born.items():
            found.born[place] = found.born.get(place, 0.0) + born * share
        for place, slow in one.slow.items():
            known = found.slow.setdefault(place, Slow())
            known.count, known.total = known.count + slow.count, known.total + slow.total
            known.worst = max(known.worst, slow.worst)
    for key in dict.fromkeys(key for _, one in each for key in one.values):
        found.values[key] = _together(key, each, found.duration)
    for name in dict.fromkeys(name for _, one in each for name in one.groups):
        found.groups[name] = _one_group([one.groups[name] for _, one in each if name in one.groups], found.duration)
    return found


def _together(key: str, each: list[tuple[int, Figures]], duration: float) -> float | None:
    known = [(worker, one, value) for worker, one in each if (value := one.values.get(key)) is not None]
    if not known:
        return None
    if key in _WORST:
        return max(value for _, _, value in known)
    if key in _MOST:
        most: dict[int, float] = {}
        for worker, _, value in known:
            most[worker] = max(most.get(worker, 0.0), value)
        return sum(most.values())
    if key == "dropped":
        return sum(value for _, _, value in known)
    return sum(value * one.duration / duration for _, one, value in known)


def _one_group(those: list[GroupFigures], duration: float) -> GroupFigures:
    """One group of several processes: the median weighted by how many ended, and the worst 99th percentile."""
    ended = sum(one.ended for one in those)
    medians = [(one.p50, one.ended) for one in those if one.p50 is not None]
    errors = [one.errors for one in those if one.errors is not None]
    return GroupFigures(
        ended,
        ended / duration,
        sum(one.failed for one in those),
        sum(errors) if errors else None,
        sum(p50 * count for p50, count in medians) / sum(count for _, count in medians) if medians else None,
        max((one.p99 for one in those if one.p99 is not None), default=None),
    )


def place_of(site: Site | None, store: Store) -> Place:
    """Return a site as a place relative to the program's own folders."""
    if site is None or not site.line:
        return UNKNOWN
    return Place(fmt.short_path(site.file, store.roots), site.function, site.line)


def _state(recording: Recording, at: int) -> Store:
    store = Store()
    for frame in recording.state(at)[0]:
        store.apply(frame)
    return store


def _counted(recording: Recording, begin: int) -> Store:
    """The state at the first moment from `begin` at which the totals of all sites and tasks have come.

    A recording begins with a store that knows nothing of the program; its first ticks say what it did before.
    """
    store = Store()
    state, rest = walk(recording, begin)
    for frame in chain(state, rest):
        store.apply(frame)
        if store.task_counts.values and not store.left and store.now_us >= begin:
            break
    return store


def _cpu(recording: Recording, begin: int, after: Store) -> float | None:
    """CPU share of one core.

    It arrives once a second, so the recording may begin without it; the time before does not count.
    """
    last, first = after.process, None
    for seconds in (0.0, 1.5, 3.0):
        first = _state(recording, min(begin + round(seconds * 1e6), recording.end)).process
        if first.cpu_total is not None:
            break
    if first is None or first.cpu_total is None or last.cpu_total is None or last.measured <= first.measured:
        return None
    return (last.cpu_total - first.cpu_total) / (last.measured - first.measured)


def _of_sites(found: Figures, before: Store, after: Store) -> None:
    """Totals at the end minus those at the beginning."""
    elapsed = after.now - before.now
    if elapsed <= 0.0:
        return
    counts = dict.fromkeys(("born", "ended", "failed", "cancelled"), 0)
    for store, sign in ((after, 1), (before, -1)):
        for stats in store.sites.values():
            place = place_of(stats.site, after)
            found.busy[place] = found.busy.get(place, 0.0) + sign * stats.busy
            found.born[place] = found.born.get(place, 0.0) + sign * stats.born
            for name in counts:
                counts[name] += sign * getattr(stats, name)
        for task in store.tasks.values():
            place = place_of(task.site, after)
            found.busy[place] = found.busy.get(place, 0.0) + sign * task.busy
    found.busy = {place: max(busy, 0.0) / elapsed for place, busy in found.busy.items()}
    found.born = {place: max(born, 0.0) / elapsed for place, born in found.born.items()}
    found.counts |= {
        "tasks_per_s": counts["born"],
        "ended_per_s": counts["ended"],
        "failed_per_min": counts["failed"],
    }
    found.values |= {
        "tasks_per_s": counts["born"] / elapsed,
        "ended_per_s": counts["ended"] / elapsed,
        "failed_per_min": counts["failed"] / elapsed * 60,
        "cancelled_per_min": counts["cancelled"] / elapsed * 60,
        "busy": sum(found.busy.values()),
    }


def _of_groups(found: Figures, recording: Recording, begin: int, after: Store) -> None:
    """Groups arrive once a second, so the recording may begin without them; the time before does not count."""
    before = after
    for seconds in (0.0, 1.5, 3.0):
        before = _state(recording, min(begin + round(seconds * 1e6), recording.end))
        if before.label_groups.since is not None:
            break
    elapsed = after.now - before.now
    if elapsed <= 0.0:
        return
    earlier = {group.name: group for group in before.label_groups.values()}
    for group in after.label_groups.values():
        first = earlier.get(group.name)
        ended = group.ended - (first.ended if first else 0)
        if ended <= 0:
            continue
        ages = group.age if first is None else group.age.minus(first.age)
        errors = group.errors - (first.errors if first else 0)
        found.groups[group.name] = GroupFigures(
            ended,
            ended / elapsed,
            group.failed - (first.failed if first else 0),
            errors if group.responses else None,
            ages.at(0.5),
            ages.at(0.99),
        )


def _of_events(found: Figures, recording: Recording, after: Store, begin: int, elapsed: float) -> None:
    unhandled = 0
    for event in recording.notes():
        if event.at < begin:
            continue
        if event.kind == "unhandled":
            unhandled += 1
        elif event.kind == "slow_callback":
            site = blamed(after.tables.stack(event.stack), event.blame)
            slow = found.slow.setdefault(place_of(site, after), Slow())
            seconds = event.duration * _SECOND
            slow.count, slow.total, slow.worst = slow.count + 1, slow.total + seconds, max(slow.worst, seconds)
    found.counts |= {
        "unhandled_per_min": unhandled,
        "slow_per_min": sum(slow.count for slow in found.slow.values()),
    }
    found.values |= {
        "unhandled_per_min": unhandled / elapsed * 60,
        "slow_per_min": found.counts["slow_per_min"] / elapsed * 60,
        "blocked": sum(slow.total for slow in found.slow.values()) / elapsed,
        "slow_max": max((slow.worst for slow in found.slow.values()), default=0.0),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the percentile `share` (0..1) of sorted values."""
    if not ordered:
        return None
    return ordered[max(math.ceil(len(ordered) * share) - 1, 0)]


def _growth(sizes: Sequence[tuple[float, float]]) -> float | None:
    """Growth in bytes per minute by least squares, which a single peak at an end does not dominate."""
    if len(sizes) < 2:
        return None
    middle, mean = sum(at for at, _ in sizes) / len(sizes), sum(size for _, size in sizes) / len(sizes)
    spread = sum((at - middle) ** 2 for at, _ in sizes)
    return sum((at - middle) * (size - mean) for at, size in sizes) / spread * 60 if spread else None
