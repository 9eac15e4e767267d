"""Expectations against what was seen: one function a word of the vocabulary, and what was seen instead."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from monitor import format as fmt
from monitor.store.cancelled import words as cancelled_words
from sample_apps import vocabulary as words
from sample_apps.catalogue import marked_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitor.samples.findings import SeenFinding
    from monitor.samples.observation import Life, Look, Observation
    from monitor.store.model import EndedTask, Site, SlowCallback, Wait
    from sample_apps.catalogue import Sample

Outcome = Literal["met", "missed", "not seen yet"]

ONE_THING = ("barrier", "condition", "event", "lock", "queue", "semaphore")
"""Kinds of waits whose text tells one thing from another; the tasks of other kinds wait for one each."""

LONG_ENOUGH = 0.5
"""Seconds that a task has to live before its steps a second mean anything."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One expectation of a sample, and what was seen."""

    expectation: words.Expectation
    outcome: Outcome
    seen: str  # in words
    because: str = ""  # of what is not seen yet


@dataclass(frozen=True, slots=True)
class Lines:
    """The marked lines of a source. With `anywhere`, every line is every marked one: see `differs`."""

    path: Path
    numbers: dict[str, int]
    anywhere: bool = False

    def match(self, site: Site | None, marker: str) -> bool:
        """Whether a site is the marked line."""
        if site is None:
            return False
        if self.anywhere:
            return Path(site.file).name not in ("entry.py", "runners.py")
        return site.line == self.numbers[marker] and Path(site.file).name == self.path.name

    def place(self, site: Site | None) -> str:
        """A site for a person."""
        return "a line that was not caught" if site is None else f"{Path(site.file).name}:{site.line}"


@dataclass(frozen=True, slots=True)
class Case:
    """What was seen, and the source it is about."""

    seen: Observation
    lines: Lines


def judge(sample: Sample, seen: Observation, path: Path | None = None) -> list[Verdict]:
    """Every expectation of a sample. `path` is its source, where that is a copy."""
    path = path or sample.path
    lines = Lines(path, marked_lines(path))
    return [_verdict(expectation, seen, lines) for expectation in sample.expectations]


def differs(wrong: Sample, seen_of_cure: Observation) -> bool:
    """Whether what was seen of the cure misses anything that is expected of the wrong one, whatever the lines."""
    lines = Lines(wrong.path, {}, anywhere=True)
    verdicts = [_verdict(expectation, seen_of_cure, lines) for expectation in wrong.expectations]
    return any(verdict.outcome == "missed" for verdict in verdicts)


def _verdict(expectation: words.Expectation, seen: Observation, lines: Lines) -> Verdict:
    inner, because = expectation, ""
    if isinstance(expectation, words.NotSeenYet):
        if isinstance(expectation.what, str):
            return Verdict(expectation, "not seen yet", "", expectation.because)
        inner, because = expectation.what, expectation.because
    if isinstance(inner, (words.Finding, words.NoFinding)) and seen.findings is None:
        return Verdict(expectation, "not seen yet", "", because or "there are no findings yet")
    met, text = _check(inner, Case(seen, lines))
    if not met and isinstance(inner, words.Finding) and inner.kind == "loop_blocked" and _was_starved(seen):
        because = because or "the machine is too busy to blame the line: most of what was slow got no processor"
    if because:
        return Verdict(expectation, "met" if met else "not seen yet", text, because)
    return Verdict(expectation, "met" if met else "missed", text)


def _was_starved(seen: Observation) -> bool:
    slow = seen.slow.values()
    return sum(one.starved for one in slow) > sum(one.duration for one in slow) / 2


Checked = tuple[bool, str]


@singledispatch
def _check(expectation: object, case: Case) -> Checked:
    raise TypeError(f"no word of the vocabulary: {expectation!r}, about {case.lines.path}")


def _within(value: float, of: object) -> bool:
    low, high = getattr(of, "at_least", None), getattr(of, "at_most", None)
    return (low is None or value >= low) and (high is None or value <= high)


def _is(name: str | None, pattern: str | None) -> bool:
    return name is not None and pattern is not None and fnmatchcase(name, pattern)


def _few(texts: Iterable[str], otherwise: str = "nothing") -> str:
    """The most frequent of some texts."""
    counted = Counter(texts)
    shown = [f"{text} ×{number}" if number > 1 else text for text, number in counted.most_common(3)]
    more = len(counted) - len(shown)
    return (", ".join(shown) + (f" and {more} more" if more else "")) or otherwise


# -- events --


def _slow_text(slow: SlowCallback, lines: Lines) -> str:
    who = slow.name if slow.task is not None else slow.callback
    return f"{who} at {lines.place(slow.line)}"


@_check.register
def _slow(expected: words.SlowCallback, case: Case) -> Checked:
    def whose(slow: SlowCallback) -> bool:
        return slow.task is None if expected.task is None else _is(slow.name, expected.task)

    here = [
        slow
        for slow in case.seen.slow.values()
        if whose(slow) and any(case.lines.match(site, expected.line) for site in slow.stack)
    ]
    fitting = [slow for slow in here if _within(slow.duration, expected)]
    if here:
        shortest, longest = min(slow.duration for slow in here), max(slow.duration for slow in here)
        text = f"{len(here)} times, {fmt.duration(shortest)} to {fmt.duration(longest)}"
        if len(fitting) < len(here):
            text += f", {len(fitting)} of them as long as expected"
        return len(fitting) >= expected.times, text
    others = (_slow_text(slow, case.lines) for slow in case.seen.slow.values())
    return False, _few(others, "no slow callback")


@_check.register
def _no_slow(expected: words.NoSlowCallback, case: Case) -> Checked:
    # What got no processor did not block: on a busy machine every callback takes long now and then.
    found = [slow for slow in case.seen.slow.values() if slow.duration - slow.starved >= expected.over]
    texts = (f"{_slow_text(slow, case.lines)} for {fmt.duration(slow.duration)}" for slow in found)
    return not found, _few(texts, "none")


def _end_text(task: EndedTask) -> str:
    failure = f" with {task.failure.type}" if task.failure is not None else ""
    by = f" {cancelled_words(task.cancelled_by)}" if task.cancelled_by is not None else ""
    return f"{task.name} {task.outcome}{failure}{by}"


@_check.register
def _ended(expected: words.TaskEnded, case: Case) -> Checked:
    so = [
        task
        for task in case.seen.ended.values()
        if _is(task.name, expected.task)
        and task.outcome == expected.outcome
        and (expected.exception is None or (task.failure is not None and _is_type(task.failure.type, expected)))
        and _is_cancelled_by(task, expected, case.lines)
    ]
    bounded = expected.at_least is not None or expected.at_most is not None
    fitting = [task for task in so if not bounded or (task.age is not None and _within(task.age, expected))]
    if not so:
        same = [task for task in case.seen.ended.values() if _is(task.name, expected.task)]
        return False, _few(map(_end_text, same or case.seen.ended.values()), "no task ended")
    ages = [task.age for task in so if task.age is not None]
    span = f", at an age of {fmt.duration(min(ages))} to {fmt.duration(max(ages))}" if bounded and ages else ""
    return len(fitting) >= expected.times, f"{len(so)} times{span}"


def _is_cancelled_by(task: EndedTask, expected: words.TaskEnded, lines: Lines) -> bool:
    if expected.by is None and expected.line is None:
        return True
    by = task.cancelled_by
    if by is None or (expected.by is not None and not _is(by.name, expected.by)):
        return False
    return expected.line is None or (by.site is not None and lines.match(by.site, expected.line))


def _is_type(found: str, expected: words.TaskEnded | words.Unhandled) -> bool:
    return expected.exception is None or found.rpartition(".")[2] == expected.exception


@_check.register
def _none_ended(expected: words.NoTaskEnded, case: Case) -> Checked:
    found = [
        task
        for task in case.seen.ended.values()
        if _is(task.name, expected.task) and expected.outcome in (None, task.outcome)
    ]
    return not found, _few(map(_end_text, found), "none")


@_check.register
def _unhandled(expected: words.Unhandled, case: Case) -> Checked:
    found = [
        one
        for one in case.seen.unhandled
        if expected.message in one.message
        and (expected.exception is None or (one.failure is not None and _is_type(one.failure.type, expected)))
    ]
    if found:
        return len(found) >= expected.times, f"{len(found)} times"
    return False, _few(one.message.split("\n", 1)[0] for one in case.seen.unhandled)


@_check.register
def _no_unhandled(_: words.NoUnhandled, case: Case) -> Checked:
    return not case.seen.unhandled, _few(one.message.split("\n", 1)[0] for one in case.seen.unhandled)


# -- loops --


@_check.register
def _lag(expected: words.LoopLag, case: Case) -> Checked:
    worst = max((loop.lag for loop in case.seen.loops.values()), default=0.0)
    return bool(case.seen.loops) and _within(worst, expected), fmt.duration(worst)


@_check.register
def _utilization(expected: words.Utilization, case: Case) -> Checked:
    shares = [
        (loop.busy - loop.busy_first) / (loop.last - loop.first)
        for loop in case.seen.loops.values()
        if loop.last > loop.first
    ]
    if not shares:
        return False, "no loop ran long enough"
    return _within(round(max(shares), 4), expected), f"{max(shares):.3f}"


@_check.register
def _timers(expected: words.Timers, case: Case) -> Checked:
    most = max((loop.timers for loop in case.seen.loops.values()), default=0)
    return _within(most, expected), f"{most} timers"


@_check.register
def _loops(expected: words.Loops, case: Case) -> Checked:
    return _within(len(case.seen.loops), expected), f"{len(case.seen.loops)} loops"


# -- looks --


def _waits(look: Look, seen: Observation, expected: words.Waiting) -> list[tuple[str, Wait]]:
    return [
        (seen.name(number), detail.waiting_on)
        for number, detail in look.details.items()
        if detail.waiting_on is not None and _is(seen.name(number), expected.task)
    ]


@_check.register
def _waiting(expected: words.Waiting, case: Case) -> Checked:
    most, always = 0, True
    others: list[str] = []
    for look in case.seen.looks:
        here: Counter[str] = Counter()
        for name, wait in _waits(look, case.seen, expected):
            if wait.kind == expected.kind and _is_held(wait, expected, case.seen):
                here[wait.repr if wait.kind in ONE_THING else ""] += 1
            else:
                others.append(f"{name} waits for {wait.kind} {wait.repr}")
        largest = max(here.values(), default=0)
        most = max(most, largest)
        always = always and (expected.at_most is None or largest <= expected.at_most)
    met = bool(case.seen.looks) and always and (expected.at_least is None or most >= expected.at_least)
    text = f"{most} at once" if most else "none"
    return met, text if met or not others else f"{text}; {_few(others)}"


def _is_held(wait: Wait, expected: words.Waiting, seen: Observation) -> bool:
    if expected.holder is None:
        return True
    holder = wait.facts.get("holder")
    return isinstance(holder, int) and _is(seen.name(holder), expected.holder)


def _count(look: Look, expected: words.Tasks, seen: Observation, lines: Lines) -> int:
    return sum(
        (expected.task is None or _is(life.name, expected.task))
        and (expected.site is None or lines.match(life.site, expected.site))
        for life in (seen.lives[number] for number in look.tasks)
    )


@_check.register
def _tasks(expected: words.Tasks, case: Case) -> Checked:
    counts = [_count(look, expected, case.seen, case.lines) for look in case.seen.looks]
    if not counts:
        return False, "nobody looked"
    met = (expected.at_least is None or max(counts) >= expected.at_least) and (
        expected.at_most is None or max(counts) <= expected.at_most
    )
    if met or max(counts):
        return met, f"{min(counts)} to {max(counts)}"
    sites = (f"{life.name} made at {case.lines.place(life.site)}" for life in case.seen.lives.values())
    return False, f"none; {_few(sites)}"


@_check.register
def _growing(expected: words.TasksGrowing, case: Case) -> Checked:
    site = words.Tasks(site=expected.site)
    counts = [(look.at, _count(look, site, case.seen, case.lines)) for look in case.seen.looks]
    steps = list(zip(counts, counts[2:], strict=False))  # a second apart: two looks
    if not steps:
        return False, f"{len(counts)} looks are too few"
    grows = all(later[1] > earlier[1] for earlier, later in steps)
    (first_at, first), (last_at, last) = counts[0], counts[-1]
    rate = (last - first) / max(last_at - first_at, 0.001)
    return grows and rate >= expected.per_second, f"{first} to {last}, {rate:.1f} a second"


def _of_name(pattern: str, seen: Observation) -> list[Life]:
    return [life for life in seen.lives.values() if _is(life.name, pattern)]


@_check.register
def _steps(expected: words.StepRate, case: Case) -> Checked:
    rates = [
        life.steps / (life.last - life.first)
        for life in _of_name(expected.task, case.seen)
        if life.last - life.first >= LONG_ENOUGH
    ]
    if not rates:
        return False, f"no {expected.task} lived for {LONG_ENOUGH:g} s"
    return all(_within(rate, expected) for rate in rates), f"{min(rates):.0f} to {max(rates):.0f} a second"


@_check.register
def _busy(expected: words.BusyShare, case: Case) -> Checked:
    lives = {number: life.busy for number, life in case.seen.lives.items() if _is(life.name, expected.task)}
    ends = {task.id: task.busy or 0.0 for task in case.seen.ended.values() if _is(task.name, expected.task)}
    if not lives and not ends:
        return False, "no task of this name"
    share = sum({**lives, **ends}.values()) / case.seen.seconds
    return _within(round(share, 4), expected), f"{share:.3f}"


@_check.register
def _await_stack(expected: words.AwaitStack, case: Case) -> Checked:
    others: list[str] = []
    for look in case.seen.looks:
        for number, detail in look.details.items():
            if not _is(case.seen.name(number), expected.task):
                continue
            if _passes(detail.await_stack, expected.through, case.lines):
                return True, "seen"
            own = [site for site in detail.await_stack if Path(site.file).name == case.lines.path.name]
            others.append(" › ".join(case.lines.place(site) for site in own) or "lines elsewhere")
    return False, _few(others, f"no {expected.task} waits")


def _passes(stack: Sequence[Site], through: Sequence[str], lines: Lines) -> bool:
    wanted = iter(stack)
    return all(any(lines.match(site, marker) for site in wanted) for marker in through)


@_check.register
def _child(expected: words.Child, case: Case) -> Checked:
    parents = {case.seen.name(life.parent) for life in _of_name(expected.task, case.seen)}
    parents |= {case.seen.name(task.parent) for task in case.seen.ended.values() if _is(task.name, expected.task)}
    met = any(_is(parent, expected.parent) for parent in parents)
    return (
        met,
        f"the parent is {_few(parent or 'no task' for parent in sorted(parents))}" if parents else "no such task",
    )


@_check.register
def _awaited(expected: words.AwaitedBy, case: Case) -> Checked:
    awaiting = {
        case.seen.name(other)
        for look in case.seen.looks
        for number, detail in look.details.items()
        if _is(case.seen.name(number), expected.task)
        for other in detail.awaited_by
    }
    return any(_is(name, expected.by) for name in awaiting), f"awaited by {_few(sorted(awaiting), 'nobody')}"


@_check.register
def _left_alone(expected: words.LeftAlone, case: Case) -> Checked:
    alone = {
        case.seen.name(number)
        for look in case.seen.looks
        for number, detail in look.details.items()
        if _is(case.seen.name(number), expected.task)
        and not detail.awaited_by
        and (life := case.seen.lives.get(number)) is not None
        and life.parent in case.seen.ended
        and life.parent not in look.tasks
    }
    return bool(alone), _few(sorted(alone), "none")


@_check.register
def _eager(expected: words.Eager, case: Case) -> Checked:
    lives = _of_name(expected.task, case.seen)
    eager = sum(life.eager for life in lives)
    return eager > 0, f"{eager} of {len(lives)}"


# -- memory and findings --


@_check.register
def _memory(expected: words.MemoryGrowth, case: Case) -> Checked:
    if case.seen.memory is None or case.seen.memory_seconds <= 0:
        return False, "memory was not looked at"
    if expected.line is None:
        grown = float(case.seen.memory.total[1])
    else:
        line = expected.line
        rows = [row for row in case.seen.memory.rows if case.lines.match(row.site, line)]
        grown = float(sum(row.size_diff for row in rows))
    rate = grown / case.seen.memory_seconds
    text = f"{'-' if rate < 0 else ''}{fmt.size(abs(rate))} a second"
    if expected.line is not None and grown == 0:
        texts = (f"{case.lines.place(row.site)} by {fmt.size(row.size_diff)}" for row in case.seen.memory.rows[:3])
        text += f"; {_few(texts)}"
    return _within(rate, expected), text


@_check.register
def _files(expected: words.FilesGrowing, case: Case) -> Checked:
    if len(case.seen.files) < 2:
        return False, "nobody counted"
    (first_at, first), (last_at, last) = case.seen.files[0], case.seen.files[-1]
    rate = (last - first) / max(last_at - first_at, 0.001)
    return rate >= expected.per_second, f"{first} to {last}, {rate:.1f} a second"


@_check.register
def _finding(expected: words.Finding, case: Case) -> Checked:
    found = case.seen.findings or []
    fitting = [
        one
        for one in found
        if one.kind == expected.kind
        and (expected.task is None or any(_is(name, expected.task) for name in one.tasks))
        and (expected.line is None or any(case.lines.match(site, expected.line) for site in one.lines))
    ]
    texts = [_finding_text(one, case.lines) for one in fitting[:1] or found]
    return bool(fitting), _few(texts, "no finding")


@_check.register
def _no_finding(expected: words.NoFinding, case: Case) -> Checked:
    found = [one for one in case.seen.findings or [] if expected.kind in (None, one.kind)]
    return not found, _few((_finding_text(one, case.lines) for one in found), "none")


def _finding_text(one: SeenFinding, lines: Lines) -> str:
    of = f" of {', '.join(one.tasks[:3])}" if one.tasks else ""
    at = f" at {', '.join(lines.place(site) for site in one.lines[:2])}" if one.lines else ""
    return f"{one.kind}{of}{at}"
