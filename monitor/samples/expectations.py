"""Compares expectations with an observation: one function per type, which also describes what was seen."""

from __future__ import annotations

from collections import Counter
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.samples.case import Case, Lines, few, is_named, within
from monitor.store.cancel_text import words as cancelled_words
from monitor.trace.parts import parts_of
from sample_apps import vocabulary as words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.samples.findings import SeenFinding
    from monitor.samples.observation import Life, Observation, WaitSnapshot
    from monitor.store.model import EndedTask, Site, SlowCallback, Wait

ONE_THING = ("barrier", "condition", "event", "lock", "queue", "semaphore")
"""Kinds of waits whose text identifies an object; tasks in other kinds of waits share none."""

LONG_ENOUGH = 0.5
"""Seconds that a task has to live before its steps per second are meaningful."""

Checked = tuple[bool, str]


@singledispatch
def check(expectation: object, case: Case) -> Checked:
    """Return whether the expectation was met, and a text about what was seen."""
    raise TypeError(f"not an expectation of the vocabulary: {expectation!r}, for {case.lines.path}")


# -- events --


def _slow_text(slow: SlowCallback, lines: Lines) -> str:
    who = slow.name if slow.task is not None else slow.callback
    return f"{who} at {lines.place(slow.line)}"


@check.register
def _slow(expected: words.SlowCallback, case: Case) -> Checked:
    def whose(slow: SlowCallback) -> bool:
        return slow.task is None if expected.task is None else is_named(slow.name, expected.task)

    here = [
        slow
        for slow in case.seen.slow.values()
        if whose(slow) and any(case.lines.match(site, expected.line) for site in slow.stack)
    ]
    fitting = [slow for slow in here if within(slow.duration, expected)]
    if here:
        shortest, longest = min(slow.duration for slow in here), max(slow.duration for slow in here)
        text = f"{len(here)} times, {fmt.duration(shortest)} to {fmt.duration(longest)}"
        if len(fitting) < len(here):
            text += f", {len(fitting)} of them as long as expected"
        return len(fitting) >= expected.times, text
    others = (_slow_text(slow, case.lines) for slow in case.seen.slow.values())
    return False, few(others, "no slow callback")


@check.register
def _slow_because(expected: words.SlowBecause, case: Case) -> Checked:
    here = [
        slow
        for slow in case.seen.slow.values()
        if any(case.lines.match(site, expected.line) for site in slow.stack) and not slow.at_least
    ]
    sums: Counter[str] = Counter()
    without = {"cpu", "throttled"} - {expected.reason}
    for slow in here:
        sums.update({name: took for name, took in slow.reasons.items() if name not in without})
    whole = sum(sums.values())
    if not whole:
        return False, "no slow callback there"
    text = ", ".join(f"{name} {took / whole:.0%}" for name, took in sums.most_common() if took > whole / 50)
    return sums[expected.reason] >= expected.at_least * whole, text


@check.register
def _late_because(expected: words.LateBecause, case: Case) -> Checked:
    trace = case.seen.trace
    if trace is None:
        return False, "no steps were recorded"
    whole = fitting = 0
    others: Counter[str] = Counter()
    for life in trace.timeline.lives.values():
        if not is_named(life.name, expected.task):
            continue
        for part in parts_of(trace.timeline, life):
            if part.kind != "waited" or part.on is None:
                continue
            whole += part.duration
            held = expected.holder is None or any(is_named(one.name, expected.holder) for one in part.held_by)
            if part.on.kind == expected.kind and case.lines.match(part.at, expected.line) and held:
                fitting += part.duration
            others[f"{part.on.kind} at {case.lines.place(part.at)}"] += part.duration
    text = ", ".join(f"{what} {took / whole:.0%}" for what, took in others.most_common(3))
    return whole > 0 and fitting >= expected.at_least * whole, text or "no wait was recorded"


@check.register
def _no_slow(expected: words.NoSlowCallback, case: Case) -> Checked:
    # Time without a CPU is not blocking: on a busy machine every callback occasionally takes long.
    found = [slow for slow in case.seen.slow.values() if slow.duration - slow.starved >= expected.over]
    texts = (f"{_slow_text(slow, case.lines)} for {fmt.duration(slow.duration)}" for slow in found)
    return not found, few(texts, "none")


def _end_text(task: EndedTask) -> str:
    failure = f" with {task.failure.type}" if task.failure is not None else ""
    by = f" {cancelled_words(task.cancelled_by)}" if task.cancelled_by is not None else ""
    return f"{task.name} {task.outcome}{failure}{by}"


@check.register
def _ended(expected: words.TaskEnded, case: Case) -> Checked:
    so = [
        task
        for task in case.seen.ended.values()
        if is_named(task.name, expected.task)
        and task.outcome == expected.outcome
        and (expected.exception is None or (task.failure is not None and _is_type(task.failure.type, expected)))
        and _is_cancelled_by(task, expected, case.lines)
    ]
    bounded = expected.at_least is not None or expected.at_most is not None
    fitting = [task for task in so if not bounded or (task.age is not None and within(task.age, expected))]
    if not so:
        same = [task for task in case.seen.ended.values() if is_named(task.name, expected.task)]
        return False, few(map(_end_text, same or case.seen.ended.values()), "no task ended")
    ages = [task.age for task in so if task.age is not None]
    span = f", at an age of {fmt.duration(min(ages))} to {fmt.duration(max(ages))}" if bounded and ages else ""
    return len(fitting) >= expected.times, f"{len(so)} times{span}"


def _is_cancelled_by(task: EndedTask, expected: words.TaskEnded, lines: Lines) -> bool:
    if expected.by is None and expected.line is None:
        return True
    by = task.cancelled_by
    if by is None or (expected.by is not None and not is_named(by.name, expected.by)):
        return False
    return expected.line is None or (by.site is not None and lines.match(by.site, expected.line))


def _is_type(found: str, expected: words.TaskEnded | words.Unhandled) -> bool:
    return expected.exception is None or found.rpartition(".")[2] == expected.exception


@check.register
def _none_ended(expected: words.NoTaskEnded, case: Case) -> Checked:
    found = [
        task
        for task in case.seen.ended.values()
        if is_named(task.name, expected.task) and expected.outcome in (None, task.outcome)
    ]
    return not found, few(map(_end_text, found), "none")


@check.register
def _unhandled(expected: words.Unhandled, case: Case) -> Checked:
    found = [
        one
        for one in case.seen.unhandled
        if expected.message in one.message
        and (expected.exception is None or (one.failure is not None and _is_type(one.failure.type, expected)))
    ]
    if found:
        return len(found) >= expected.times, f"{len(found)} times"
    return False, few(one.message.split("\n", 1)[0] for one in case.seen.unhandled)


@check.register
def _no_unhandled(_: words.NoUnhandled, case: Case) -> Checked:
    return not case.seen.unhandled, few(one.message.split("\n", 1)[0] for one in case.seen.unhandled)


@check.register
def _group(expected: words.Group, case: Case) -> Checked:
    groups = list((case.seen.groups or {}).values())
    found = [group for group in groups if group.label == expected.label and group.coro.endswith(expected.coro)]
    if not found:
        return False, f"none; {few(sorted(group.name for group in groups))}"
    group = found[0]
    median = group.age.at(0.5)
    met = group.ended >= expected.ended and group.failed >= (expected.failed or 0)
    met = met and median is not None and within(median, expected)
    return met, f"{group.ended} ended, {group.failed} failed, half after {fmt.duration(median)}"


# -- loops --


@check.register
def _lag(expected: words.LoopLag, case: Case) -> Checked:
    worst = max((loop.lag for loop in case.seen.loops.values()), default=0.0)
    return bool(case.seen.loops) and within(worst, expected), fmt.duration(worst)


@check.register
def _utilization(expected: words.Utilization, case: Case) -> Checked:
    shares = [
        (loop.busy - loop.busy_first) / (loop.last - loop.first)
        for loop in case.seen.loops.values()
        if loop.last > loop.first
    ]
    if not shares:
        return False, "no loop ran long enough"
    return within(round(max(shares), 4), expected), f"{max(shares):.3f}"


@check.register
def _timers(expected: words.Timers, case: Case) -> Checked:
    most = max((loop.timers for loop in case.seen.loops.values()), default=0)
    return within(most, expected), f"{most} timers"


@check.register
def _loops(expected: words.Loops, case: Case) -> Checked:
    return within(len(case.seen.loops), expected), f"{len(case.seen.loops)} loops"


# -- snapshots of waits --


def _waits(look: WaitSnapshot, seen: Observation, expected: words.Waiting) -> list[tuple[str, Wait]]:
    return [
        (seen.name(number), detail.waiting_on)
        for number, detail in look.details.items()
        if detail.waiting_on is not None and is_named(seen.name(number), expected.task)
    ]


@check.register
def _waiting(expected: words.Waiting, case: Case) -> Checked:
    most, always = 0, True
    others: list[str] = []
    for look in case.seen.snapshots:
        here: Counter[str] = Counter()
        for name, wait in _waits(look, case.seen, expected):
            if wait.kind == expected.kind and _is_held(wait, expected, case.seen):
                here[wait.repr if wait.kind in ONE_THING else ""] += 1
            else:
                others.append(f"{name} waits for {wait.kind} {wait.repr}")
        largest = max(here.values(), default=0)
        most = max(most, largest)
        always = always and (expected.at_most is None or largest <= expected.at_most)
    met = bool(case.seen.snapshots) and always and (expected.at_least is None or most >= expected.at_least)
    text = f"{most} at once" if most else "none"
    return met, text if met or not others else f"{text}; {few(others)}"


def _is_held(wait: Wait, expected: words.Waiting, seen: Observation) -> bool:
    if expected.holder is None:
        return True
    holder = wait.facts.get("holder")
    return isinstance(holder, int) and is_named(seen.name(holder), expected.holder)


def _count(look: WaitSnapshot, expected: words.Tasks, seen: Observation, lines: Lines) -> int:
    return sum(
        (expected.task is None or is_named(life.name, expected.task))
        and (expected.site is None or lines.match(life.site, expected.site))
        for life in (seen.lives[number] for number in look.tasks)
    )


@check.register
def _tasks(expected: words.Tasks, case: Case) -> Checked:
    counts = [_count(look, expected, case.seen, case.lines) for look in case.seen.snapshots]
    if not counts:
        return False, "no snapshot was taken"
    met = (expected.at_least is None or max(counts) >= expected.at_least) and (
        expected.at_most is None or max(counts) <= expected.at_most
    )
    if met or max(counts):
        return met, f"{min(counts)} to {max(counts)}"
    sites = (f"{life.name} made at {case.lines.place(life.site)}" for life in case.seen.lives.values())
    return False, f"none; {few(sites)}"


@check.register
def _growing(expected: words.TasksGrowing, case: Case) -> Checked:
    site = words.Tasks(site=expected.site)
    counts = [(look.at, _count(look, site, case.seen, case.lines)) for look in case.seen.snapshots]
    steps = list(zip(counts, counts[2:], strict=False))  # two snapshots, about a second apart
    if not steps:
        return False, f"{len(counts)} looks are too few"
    grows = all(later[1] > earlier[1] for earlier, later in steps)
    (first_at, first), (last_at, last) = counts[0], counts[-1]
    rate = (last - first) / max(last_at - first_at, 0.001)
    return grows and rate >= expected.per_second, f"{first} to {last}, {rate:.1f} a second"


def _of_name(pattern: str, seen: Observation) -> list[Life]:
    return [life for life in seen.lives.values() if is_named(life.name, pattern)]


@check.register
def _steps(expected: words.StepRate, case: Case) -> Checked:
    rates = [
        life.steps / (life.last - life.first)
        for life in _of_name(expected.task, case.seen)
        if life.last - life.first >= LONG_ENOUGH
    ]
    if not rates:
        return False, f"no {expected.task} lived for {LONG_ENOUGH:g} s"
    return all(within(rate, expected) for rate in rates), f"{min(rates):.0f} to {max(rates):.0f} a second"


@check.register
def _busy(expected: words.BusyShare, case: Case) -> Checked:
    lives = {number: life.busy for number, life in case.seen.lives.items() if is_named(life.name, expected.task)}
    ends = {task.id: task.busy or 0.0 for task in case.seen.ended.values() if is_named(task.name, expected.task)}
    if not lives and not ends:
        return False, "no task of this name"
    share = sum({**lives, **ends}.values()) / case.seen.seconds
    return within(round(share, 4), expected), f"{share:.3f}"


@check.register
def _await_stack(expected: words.AwaitStack, case: Case) -> Checked:
    others: list[str] = []
    for look in case.seen.snapshots:
        for number, detail in look.details.items():
            if not is_named(case.seen.name(number), expected.task):
                continue
            if _passes(detail.await_stack, expected.through, case.lines):
                return True, "seen"
            own = [site for site in detail.await_stack if Path(site.file).name == case.lines.path.name]
            others.append(" › ".join(case.lines.place(site) for site in own) or "lines elsewhere")
    return False, few(others, f"no {expected.task} waits")


def _passes(stack: Sequence[Site], through: Sequence[str], lines: Lines) -> bool:
    wanted = iter(stack)
    return all(any(lines.match(site, marker) for site in wanted) for marker in through)


@check.register
def _child(expected: words.Child, case: Case) -> Checked:
    parents = {case.seen.name(life.parent) for life in _of_name(expected.task, case.seen)}
    parents |= {case.seen.name(task.parent) for task in case.seen.ended.values() if is_named(task.name, expected.task)}
    met = any(is_named(parent, expected.parent) for parent in parents)
    return (
        met,
        f"the parent is {few(parent or 'no task' for parent in sorted(parents))}" if parents else "no such task",
    )


@check.register
def _awaited(expected: words.AwaitedBy, case: Case) -> Checked:
    awaiting = {
        case.seen.name(other)
        for look in case.seen.snapshots
        for number, detail in look.details.items()
        if is_named(case.seen.name(number), expected.task)
        for other in detail.awaited_by
    }
    return any(is_named(name, expected.by) for name in awaiting), f"awaited by {few(sorted(awaiting), 'no task')}"


@check.register
def _left_alone(expected: words.LeftAlone, case: Case) -> Checked:
    alone = {
        case.seen.name(number)
        for look in case.seen.snapshots
        for number, detail in look.details.items()
        if is_named(case.seen.name(number), expected.task)
        and not detail.awaited_by
        and (life := case.seen.lives.get(number)) is not None
        and life.parent in case.seen.ended
        and life.parent not in look.tasks
    }
    return bool(alone), few(sorted(alone), "none")


@check.register
def _eager(expected: words.Eager, case: Case) -> Checked:
    lives = _of_name(expected.task, case.seen)
    eager = sum(life.eager for life in lives)
    return eager > 0, f"{eager} of {len(lives)}"


# -- memory and findings --


@check.register
def _memory(expected: words.MemoryGrowth, case: Case) -> Checked:
    if case.seen.memory is None or case.seen.memory_seconds <= 0:
        return False, "no memory snapshot was taken"
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
        text += f"; {few(texts)}"
    return within(rate, expected), text


@check.register
def _files(expected: words.FilesGrowing, case: Case) -> Checked:
    if len(case.seen.files) < 2:
        return False, "open files were not counted"
    (first_at, first), (last_at, last) = case.seen.files[0], case.seen.files[-1]
    rate = (last - first) / max(last_at - first_at, 0.001)
    return rate >= expected.per_second, f"{first} to {last}, {rate:.1f} a second"


@check.register
def _finding(expected: words.Finding, case: Case) -> Checked:
    found = case.seen.findings or []
    fitting = [
        one
        for one in found
        if one.kind == expected.kind
        and (expected.task is None or any(is_named(name, expected.task) for name in one.tasks))
        and (expected.line is None or any(case.lines.match(site, expected.line) for site in one.lines))
    ]
    texts = [_finding_text(one, case.lines) for one in fitting[:1] or found]
    return bool(fitting), few(texts, "no finding")


@check.register
def _no_finding(expected: words.NoFinding, case: Case) -> Checked:
    found = [one for one in case.seen.findings or [] if expected.kind in (None, one.kind)]
    return not found, few((_finding_text(one, case.lines) for one in found), "none")


def _finding_text(one: SeenFinding, lines: Lines) -> str:
    of = f" of {', '.join(one.tasks[:3])}" if one.tasks else ""
    at = f" at {', '.join(lines.place(site) for site in one.lines[:2])}" if one.lines else ""
    return f"{one.kind}{of}{at}"
