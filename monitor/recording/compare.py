"""Compares two recordings: what got worse, worst first, and conditions on which CI can fail."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.errors import UsageError
from monitor.parsing import DURATIONS, SIZES
from monitor.recording.figures import Figures, GroupFigures, Place, Slow

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

SAME = 0.05
"""Relative changes below this count as the same: no two runs of a program are equal."""
CHANCE = 0.05
"""Significance level for counts of events: a difference that is more likely by chance alone is no change."""
FROM_NONE = 3
"""Events from which on something that never happened before counts as a change."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the comparison. `worse`: +1 if more is worse, -1 if less is worse, 0 if it is neither."""

    key: str
    title: str
    unit: str  # s, bytes, 0..1, 1/s, 1/min, bytes/min or nothing
    worse: int
    least: float  # smaller differences count as the same, whatever the share
    help: str

    def text(self, value: float | None) -> str:
        """Format a value in the unit of this figure."""
        return _TEXTS[self.unit](value)


def _number(value: float | None) -> str:
    """A mean below 100 gets a decimal: rounded, both could contradict the change that is printed beside them."""
    if value is None or value == round(value) or value >= 99.95:
        return fmt.count(value)
    return f"{value:.1f}"


_TEXTS: dict[str, Callable[[float | None], str]] = {
    "s": fmt.duration,
    "bytes": fmt.size,
    "0..1": fmt.percent,
    "1/s": lambda value: fmt.UNKNOWN if value is None else f"{fmt.rate(value)}/s",
    "1/min": lambda value: fmt.UNKNOWN if value is None else f"{fmt.rate(value)}/min",
    "bytes/min": lambda value: fmt.UNKNOWN if value is None else f"{fmt.size(value)}/min",
    "": _number,
}

FIGURES: tuple[Figure, ...] = (
    Figure("lag_p50", "lag, median", "s", 1, 0.001, "worst loop lag of a tick: half of the ticks had less"),
    Figure("lag_p90", "lag, 90 %", "s", 1, 0.002, "nine of ten ticks had less"),
    Figure("lag_p99", "lag, 99 %", "s", 1, 0.005, "99 of 100 ticks had less"),
    Figure("lag_max", "lag, worst", "s", 1, 0.02, "the worst of all"),
    Figure("blocked", "blocked by slow callbacks", "0..1", 1, 0.002, "share of the time that slow callbacks took"),
    Figure("slow_per_min", "slow callbacks", "1/min", 1, 0.5, "slow callbacks per minute"),
    Figure("slow_max", "slowest callback", "s", 1, 0.02, "the longest slow callback"),
    Figure("slow_lines", "lines that block", "", 1, 0.5, "lines that slow callbacks are blamed on"),
    Figure("slow_new", "new lines that block", "", 1, 0.5, "lines that block in B and not in A"),
    Figure("failed_per_min", "failed tasks", "1/min", 1, 0.5, "tasks that failed, per minute"),
    Figure("unhandled_per_min", "unhandled exceptions", "1/min", 1, 0.5, "calls of the exception handler, per minute"),
    Figure("busy", "busy", "0..1", 1, 0.005, "time inside steps of tasks, of one core"),
    Figure("utilization", "loop utilization", "0..1", 1, 0.01, "of the busiest loop, the mean over the ticks"),
    Figure("cpu", "CPU of the process", "0..1", 1, 0.01, "of one core"),
    Figure("rss_mean", "memory, mean", "bytes", 1, 1 << 20, "resident set, the mean over the ticks"),
    Figure("rss_max", "memory, most", "bytes", 1, 1 << 20, "the largest resident set"),
    Figure("rss_growth", "memory growth", "bytes/min", 1, 1 << 20, "bytes per minute, the line of best fit"),
    Figure("tasks_mean", "live tasks, mean", "", 1, 2.0, "the mean over the ticks"),
    Figure("tasks_max", "live tasks, most", "", 1, 2.0, "the most at a tick"),
    Figure("tasks_per_s", "tasks born", "1/s", -1, 0.1, "tasks made per second"),
    Figure("ended_per_s", "tasks ended", "1/s", -1, 0.1, "tasks that ended per second"),
    Figure("steps_per_s", "steps", "1/s", -1, 1.0, "steps of all tasks per second"),
    Figure("cancelled_per_min", "cancelled tasks", "1/min", 0, 0.5, "tasks that were cancelled, per minute"),
    Figure("dropped", "ticks dropped", "", 0, 0.5, "ticks that the recorder dropped: figures of fewer ticks"),
)
_BY_KEY = {figure.key: figure for figure in FIGURES}


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of both recordings. `change` is relative to A: None if unknown, infinite if A is zero."""

    figure: Figure
    a: float | None
    b: float | None
    chance: bool = False  # the difference may be chance: too few events

    @property
    def difference(self) -> float | None:
        """B minus A, in the unit of the figure; None if either is missing."""
        return None if self.a is None or self.b is None else self.b - self.a

    @property
    def change(self) -> float | None:
        """The difference relative to A; None if A is zero or missing."""
        if self.a is None or self.b is None:
            return None
        if self.b == self.a:
            return 0.0
        return (self.b - self.a) / abs(self.a) if self.a else math.copysign(math.inf, self.b)

    @property
    def verdict(self) -> str:
        """`worse`, `better`, `same`, or empty for a figure that is neither good nor bad."""
        change, difference = self.change, self.difference
        if change is None or difference is None or not self.figure.worse:
            return ""
        if self.chance or abs(change) < SAME or abs(difference) < self.figure.least:
            return "same"
        return "worse" if change * self.figure.worse > 0 else "better"

    @property
    def order(self) -> tuple[int, float]:
        """Sort key: what got worse first, by how much; then the same; then what got better."""
        rank = {"worse": 0, "same": 1, "better": 2, "": 3}[self.verdict]
        weight = 0.0 if self.verdict in ("same", "") else _doublings(self.a, self.b)
        return (rank, -weight if rank == 0 else weight)


@dataclass(frozen=True, slots=True)
class Site:
    """A creation site: busy share of one core and births per second in A and B; None where it does not occur."""

    a: Place | None
    b: Place | None
    busy: tuple[float, float]
    born: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Blocking:
    """A line that blocks the loop in A, B or both."""

    a: Place | None
    b: Place | None
    slow: tuple[Slow, Slow]
    blocked: tuple[float, float]  # share of the time
    chance: bool = False  # as in Line


@dataclass(frozen=True, slots=True)
class Group:
    """The tasks of one coroutine and label in A and B; None where none ended."""

    name: str
    a: GroupFigures | None
    b: GroupFigures | None

    @property
    def slower(self) -> float:
        """By how much the sum of the ages of its tasks has grown (s), as far as their number alone is not why."""
        if self.a is None or self.b is None or self.a.p50 is None or self.b.p50 is None:
            return 0.0
        return (self.b.p50 - self.a.p50) * min(self.a.per_s, self.b.per_s)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The figures of two recordings side by side."""

    a: Figures
    b: Figures
    lines: list[Line]
    sites: list[Site]
    blocking: list[Blocking]
    groups: list[Group]


def compare(a: Figures, b: Figures) -> Comparison:
    """Compare two recordings; in each part, what got worse comes first."""
    blocking = [
        Blocking(
            left,
            right,
            (_slow(a, left), _slow(b, right)),
            (_slow(a, left).total / a.duration, _slow(b, right).total / b.duration),
            _blocked_by_chance(_slow(a, left), _slow(b, right), a.duration / (a.duration + b.duration)),
        )
        for left, right in pairs(a.slow, b.slow)
    ]
    sites = [
        Site(left, right, (_at(a.busy, left), _at(b.busy, right)), (_at(a.born, left), _at(b.born, right)))
        for left, right in pairs(a.busy, b.busy)
    ]
    new = [line for line in blocking if line.a is None]
    a.values |= {"slow_lines": float(len(a.slow)), "slow_new": 0.0}
    b.values |= {"slow_lines": float(len(b.slow)), "slow_new": float(len(new))}
    a.counts |= {"slow_lines": len(a.slow), "slow_new": 0}
    b.counts |= {"slow_lines": len(b.slow), "slow_new": sum(line.slow[1].count for line in new)}
    lines = [
        Line(figure, a.values.get(figure.key), b.values.get(figure.key), _by_chance(figure.key, a, b))
        for figure in FIGURES
    ]
    return Comparison(
        a,
        b,
        sorted(lines, key=lambda line: line.order),
        sorted(sites, key=lambda site: -(site.busy[1] - site.busy[0])),
        sorted(blocking, key=lambda line: -(line.blocked[1] - line.blocked[0])),
        sorted(
            (Group(name, a.groups.get(name), b.groups.get(name)) for name in {**a.groups, **b.groups}),
            key=lambda group: -group.slower,
        ),
    )


def _by_chance(key: str, a: Figures, b: Figures) -> bool:
    share = a.duration / (a.duration + b.duration)
    if key == "blocked":
        return _blocked_by_chance(_all(a.slow.values()), _all(b.slow.values()), share)
    if key not in a.counts or key not in b.counts:
        return False
    return by_chance(a.counts[key], b.counts[key], share)


def _all(slow: Iterable[Slow]) -> Slow:
    slow = list(slow)
    return Slow(sum(one.count for one in slow), sum(one.total for one in slow))


def _blocked_by_chance(a: Slow, b: Slow, share: float) -> bool:
    """Whether only the number of blocks differs, and that by chance, while each takes about as long as before."""
    if not a.count or not b.count:
        return by_chance(a.count, b.count, share)
    means = a.total / a.count, b.total / b.count
    return by_chance(a.count, b.count, share) and max(means) < 1.5 * min(means)


def by_chance(a: int, b: int, share: float) -> bool:
    """Whether two counts of events may differ by chance alone. `share`: A's part of the time of both."""
    if a > 10_000 or b > 10_000:
        return False
    if not a or not b:
        return a + b < FROM_NONE
    total = a + b
    fewer, part = (a, share) if a < total * share else (b, 1 - share)
    if not 0 < part < 1:
        return False
    log, other = math.log(part), math.log1p(-part)
    whole = math.lgamma(total + 1)
    tail = (
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(total - k + 1) + k * log + (total - k) * other)
        for k in range(fewer + 1)
    )
    return sum(tail) >= CHANCE


def pairs(a: Iterable[Place], b: Iterable[Place]) -> list[tuple[Place | None, Place | None]]:
    """Match places in two versions of a program: the same line, else the next line of that function.

    Lines move when a file is edited above them; their number and order within a function mostly stay.
    """
    left, right = _by_function(a), _by_function(b)
    found: list[tuple[Place | None, Place | None]] = []
    for key in dict.fromkeys([*left, *right]):
        ours, theirs = left.get(key, []), right.get(key, [])
        same = {place.line for place in ours} & {place.line for place in theirs}
        by_line = {place.line: place for place in theirs}
        found += [(place, by_line[place.line]) for place in ours if place.line in same]
        ours = [place for place in ours if place.line not in same]
        theirs = [place for place in theirs if place.line not in same]
        moved = len(ours) if len(ours) == len(theirs) else 0
        found += list(zip(ours[:moved], theirs[:moved], strict=True))
        found += [(place, None) for place in ours[moved:]]
        found += [(None, place) for place in theirs[moved:]]
    return found


def _by_function(places: Iterable[Place]) -> dict[Hashable, list[Place]]:
    found: dict[Hashable, list[Place]] = {}
    for place in sorted(places, key=lambda place: place.line):
        found.setdefault((place.file, place.function), []).append(place)
    return found


def _at(values: dict[Place, float], place: Place | None) -> float:
    return 0.0 if place is None else values.get(place, 0.0)


def _slow(figures: Figures, place: Place | None) -> Slow:
    return Slow() if place is None else figures.slow.get(place, Slow())


def _doublings(a: float | None, b: float | None) -> float:
    if not a or not b or (a < 0) != (b < 0):
        return math.inf
    return abs(math.log2(b / a))


# Conditions

_CONDITION = re.compile(
    r"^\s*(?P<key>\w+)\s*(?P<op>>=|<=|>|<)\s*(?P<sign>[+-])?\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>%|[A-Za-zµ]+)?\s*$"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition to fail on: `lag_p99>+20%` compares B with A, `lag_p99>50ms` looks at B alone."""

    text: str
    figure: Figure
    op: str
    limit: float
    of: str  # change, difference or value

    def holds(self, comparison: Comparison) -> bool | None:
        """Whether the condition holds, so that the command fails. None if a figure is unknown."""
        line = next(line for line in comparison.lines if line.figure.key == self.figure.key)
        found = {"change": line.change, "difference": line.difference, "value": line.b}[self.of]
        if found is None:
            return None
        return {">": found > self.limit, "<": found < self.limit, ">=": found >= self.limit, "<=": found <= self.limit}[
            self.op
        ]


def condition(text: str) -> Condition:
    """Parse a condition. Raises UsageError if the text is not one."""
    match = _CONDITION.match(text)
    if match is None:
        raise UsageError(f"--fail-if {text} is not a condition", 'for example --fail-if "lag_p99>+20%" or "slow_new>0"')
    figure = _BY_KEY.get(match["key"])
    if figure is None:
        raise UsageError(f"--fail-if knows no {match['key']}", f"there is {', '.join(_BY_KEY)}")
    unit = match["unit"] or ""
    number = float(match["number"]) * (-1 if match["sign"] == "-" else 1)
    if unit == "%" and (match["sign"] or figure.unit != "0..1"):
        if not match["sign"]:
            raise UsageError(
                f"--fail-if {text}: {figure.key} is not a share", f'"{figure.key}{match["op"]}+20%" is a change'
            )
        return Condition(text, figure, match["op"], number / 100, "change")
    scale = _scale(figure, unit)
    if scale is None:
        raise UsageError(f"--fail-if {text}: {unit} is not a unit of {figure.key}", _example(figure))
    return Condition(text, figure, match["op"], number * scale, "difference" if match["sign"] else "value")


def _scale(figure: Figure, unit: str) -> float | None:
    if figure.unit == "0..1":
        return {"": 1.0, "%": 0.01}.get(unit)
    if not unit:
        return 1.0
    if figure.unit.startswith("bytes"):
        return SIZES.get(unit.upper())
    return DURATIONS.get(unit) if figure.unit == "s" else None


def _example(figure: Figure) -> str:
    example = {"s": "50ms", "bytes": "200MB", "bytes/min": "1MB"}.get(figure.unit, "10")
    return f'for example "{figure.key}>{example}" or "{figure.key}>+20%"'


def failing(conditions: Sequence[Condition], comparison: Comparison) -> tuple[list[Condition], list[Condition]]:
    """Return the conditions that hold, and those whose figures are unknown."""
    results = [(condition, condition.holds(comparison)) for condition in conditions]
    return [one for one, holds in results if holds], [one for one, holds in results if holds is None]
