"""Rules for what keeps a loop from its work: lines that block it, busy tasks, tasks that never wait."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.findings.model import Line, Observation
from monitor.findings.rules.figure_history import FigureHistory
from monitor.findings.thresholds import Thresholds
from monitor.store.blocked import blocker, lasted
from monitor.store.labels import holder_text
from monitor.store.model import Loop, Site, SlowCallback, Task
from monitor.store.store import Store
from monitor.store.sync_scan import BlockedNow
from monitor.store.task_names import title_of, who

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEAR = 0.7
"""Share of a threshold above which a finding is kept."""
_SECOND = 1.0
_TWO_SECONDS = 2.0
"""Shares arrive once a second; a window must have two of them."""
_STALE = 3.0
_LITTLE = 0.05
"""Share of the loop's time from which on a task is followed, and below which it is dropped again."""
_OTHERS = 5
"""Lines of the same function that are listed after the worst."""


class Blocked:
    """Lines that blocked a loop long enough within the window, and loops that are blocked now."""

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """Yields one observation per function that blocked, and one per loop that is blocked now."""
        total = thresholds.of("loop_blocked", "total")
        begin = store.now - thresholds.of("loop_blocked", "window")
        functions: dict[tuple[str, str], list[SlowCallback]] = {}
        for line, group in store.slow.lines.items():
            if line is None or group.last < begin:
                continue
            # A computing function is caught at each of its lines in turn; they have one cause.
            known = functions.setdefault((line.file, line.function), [])
            known += [
                slow
                for slow in group.callbacks
                if slow.at >= begin and _is_one(store, slow) and not _waited_for_the_gil(slow)
            ]
        for recent in functions.values():
            blocked = sum(slow.own for slow in recent)
            if blocked < total * _NEAR or not recent:
                continue
            recent.sort(key=lambda slow: slow.at)
            yield self._observation(recent, blocked, store.now, strong=blocked >= total)
        yield from self._now(store, thresholds.of("loop_blocked", "now"))

    def _observation(self, recent: list[SlowCallback], blocked: float, now: float, *, strong: bool) -> Observation:
        shares: Counter[Site | None] = Counter()
        for slow in recent:
            shares[slow.line] += round(slow.duration * 1e6)
        (line, _), *others = shares.most_common()
        last = next(slow for slow in reversed(recent) if slow.line == line)
        one_task = len({slow.task for slow in recent}) == 1
        names = {who(None, slow.name, slow.callback, slow.label) for slow in recent}
        whose = who(last.task if one_task else None, last.name, last.callback, last.label)
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        function = line.function.rpartition(".")[2] if line is not None else "a line"
        at_least = any(slow.at_least for slow in recent)
        took = fmt.duration(sum(slow.duration for slow in recent))  # the same as on the screen of slow callbacks
        took = f"at least {took}" if at_least else took
        since = min(slow.at - slow.duration for slow in recent)
        often = f"{len(recent)} times in {fmt.age(now - since)}, {took} in all" if len(recent) > 1 else took
        return Observation(
            "loop_blocked",
            None if line is None else (line.file, line.function),
            f"{function}: {often}, in {whose}{more}",
            strong=strong,
            at_once=True,
            task=last.task,
            name=last.name or last.callback,
            coro=last.callback.removesuffix("()"),
            label=last.label,
            site=line,
            lines=(
                *(Line("", site) for site in last.stack),
                *(Line(f"also caught here, for {fmt.duration(us * 1e-6)}", site) for site, us in others[:_OTHERS]),
            ),
            evidence={
                "blocked": round(blocked, 6),
                "at_least": at_least,
                "times": len(recent),
                "worst": round(max(slow.duration for slow in recent), 6),
                "starved": round(sum(slow.starved for slow in recent), 6),
                "gil": round(sum(slow.gil for slow in recent), 6),
                "loop": last.loop,
            },
            since=since,
        )

    def _now(self, store: Store, least: float) -> Iterator[Observation]:
        for loop in store.loops.values():
            where = _where(store, loop)
            if where is None or min(loop.blocked, where.own) < least:
                continue
            task = store.tasks.get(loop.running) if loop.running is not None else None
            yield Observation(
                "loop_blocked",
                ("now", loop.id),
                f"{blocker(store, loop)} has been blocking the loop for {lasted(loop)}",
                at_once=True,
                task=loop.running,
                name=blocker(store, loop) if task is None else task.name,
                site=where.line,
                lines=tuple(Line("", site) for site in where.stack),
                evidence={
                    "blocked": round(loop.blocked, 6),
                    "at_least": loop.block is not None and loop.block.at_least,
                    "times": 1,
                    "loop": loop.id,
                },
                since=store.now - loop.blocked,
            )


class GilWaits:
    """Lines at which other threads held the GIL long enough within the window while a callback waited for it."""

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """Yields one observation per function that held it, and one for all waits with an unknown holder."""
        total = thresholds.of("gil_wait", "total")
        begin = store.now - thresholds.of("gil_wait", "window")
        functions: dict[tuple[str, str] | None, list[SlowCallback]] = {}
        for slow in store.slow.entries:
            if slow.gil and slow.at >= begin:
                line = slow.held_by.line if slow.held_by is not None else None
                functions.setdefault(None if line is None else (line.file, line.function), []).append(slow)
        for subject, recent in functions.items():
            waited = sum(slow.gil for slow in recent)
            if waited >= total * _NEAR:
                yield self._observation(subject, recent, waited, store.now, strong=waited >= total)

    def _observation(
        self, subject: tuple[str, str] | None, recent: list[SlowCallback], waited: float, now: float, *, strong: bool
    ) -> Observation:
        shares: Counter[Site | None] = Counter()
        for slow in recent:
            shares[slow.held_by.line if slow.held_by is not None else None] += round(slow.gil * 1e6)
        line = shares.most_common(1)[0][0]
        last = next(
            slow for slow in reversed(recent) if (slow.held_by.line if slow.held_by is not None else None) == line
        )
        since = min(slow.at - slow.duration for slow in recent)
        took = fmt.duration(waited)
        often = f"{took} in {len(recent)} callbacks in {fmt.age(now - since)}" if len(recent) > 1 else took
        holder = last.held_by
        had = holder_text(holder) if holder is not None else "another thread"
        at = f" in {line.function.rpartition('.')[2]}" if line is not None else ""
        return Observation(
            "gil_wait",
            subject,
            f"{often}; {had} held it{at}",
            strong=strong,
            at_once=True,
            task=last.task,
            name=last.name or last.callback,
            coro=last.callback.removesuffix("()"),
            label=last.label,
            site=line,
            lines=(
                *(Line("", site) for site in (holder.stack if holder is not None else ())),
                *(
                    [Line("the loop waited here; this line is not the cause", last.line)]
                    if last.line is not None
                    else []
                ),
            ),
            evidence={
                "waited": round(waited, 6),
                "times": len(recent),
                "worst": round(max(slow.gil for slow in recent), 6),
                "thread": None if holder is None else holder.thread,
                "threads": None if holder is None else holder.threads,
                "loop": last.loop,
            },
            since=since,
        )


def _waited_for_the_gil(slow: SlowCallback) -> bool:
    """Whether it mostly waited for the GIL, so that its line is not the cause."""
    return slow.gil > slow.own


def _where(store: Store, loop: Loop) -> BlockedNow | None:
    """Where a loop that is blocked now is, and how much of that time it was waiting."""
    block = loop.block
    if block is not None and block.at_least:
        return BlockedNow(loop.id, loop.blocked, block.starved, block.stack, block.blame)
    if store.now - store.sync_scan.at >= _STALE:
        return None
    return next((one for one in store.sync_scan.blocked if one.loop == loop.id), None)


def _is_one(store: Store, slow: SlowCallback) -> bool:
    """Whether it was one callback. On uvloop, callbacks that are not steps are only seen by sampling."""
    loop = store.loops.get(slow.loop)
    return slow.task is not None or loop is None or loop.kind != "uvloop"


@dataclass(slots=True)
class BusyTasks:
    """Tasks that take more than their share of a loop, in both halves of the window, since steps may be long."""

    _busy: dict[int, FigureHistory] = field(default_factory=dict)

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """Yields one observation per task."""
        share = thresholds.of("task_busy", "share")
        window = max(thresholds.of("task_busy", "after"), _TWO_SECONDS)
        for candidate in store.tasks.busiest(_LITTLE):
            self._busy.setdefault(candidate.id, FigureHistory())
        for number, history in list(self._busy.items()):
            task = store.tasks.get(number)
            if task is None:
                del self._busy[number]
                continue
            history.add(store.now, task.busy, window)
            halves = _halves(history, window)
            if halves and max(halves) < _LITTLE:
                del self._busy[number]
            elif halves and min(halves) >= share * _NEAR and not _in_one_step(store, number, thresholds):
                (begin, first), (end, last) = history.values[0], history.values[-1]
                # Time spent waiting for CPU or the GIL is due to the machine or another thread.
                slow_ones = [slow for slow in store.slow.entries if slow.task == number and slow.at >= begin]
                others = sum(slow.starved + slow.gil for slow in slow_ones)
                own = (last - first - others) / (end - begin)
                if own >= share * _NEAR:
                    yield _busy_observation(task, history, strong=min(*halves, own) >= share)


def _in_one_step(store: Store, task: int, thresholds: Thresholds) -> bool:
    """Whether a task blocks its loop now for so long that the line is reported: it has no steps to be split."""
    least = thresholds.of("loop_blocked", "now")
    for loop in store.loops.values():
        if loop.running == task and loop.blocked >= least:
            where = _where(store, loop)
            if where is not None and min(loop.blocked, where.own) >= least:
                return "loop_blocked" not in thresholds.off
    return False


def _halves(history: FigureHistory, window: float) -> tuple[float, float] | None:
    """The shares in both halves of a window; None until it is complete, or if it has no value in the middle."""
    (begin, first), (end, last) = history.values[0], history.values[-1]
    if end - begin < window * 0.9:
        return None
    at, middle = min(history.values, key=lambda entry: abs(entry[0] - (begin + end) / 2))
    if not begin < at < end:
        return None
    return (middle - first) / (at - begin), (last - middle) / (end - at)


def _busy_observation(task: Task, history: FigureHistory, *, strong: bool) -> Observation:
    (begin, first), (end, last) = history.values[0], history.values[-1]
    share = min((last - first) / (end - begin), 1.0)
    return Observation(
        "task_busy",
        task.id,
        f"{title_of(task)} takes {fmt.percent(share)} of the loop's time",
        strong=strong,
        at_once=True,
        task=task.id,
        name=task.name,
        site=task.site,
        evidence={"share": round(share, 3), "busy": round(task.busy, 6), "coro": task.coro},
        since=begin,
    )


@dataclass(slots=True)
class _Second:
    """The figures of a task at its last measurement, and the rates up to then."""

    at: float
    steps: int
    busy: float
    scheduled: float
    rate: float = 0.0
    idle: float = 1.0


@dataclass(slots=True)
class BusyLoops:
    """Tasks that keep stepping and are never idle; measured once a second, and only if they use the loop at all."""

    _seconds: dict[int, _Second] = field(default_factory=dict)

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """Yields one observation per task."""
        least, idle = thresholds.of("busy_loop", "steps"), thresholds.of("busy_loop", "idle")
        candidates = {task.id: task for task in store.tasks.busiest(0.01) if task.scheduled is not None}
        for gone in self._seconds.keys() - candidates.keys():
            del self._seconds[gone]
        for task in candidates.values():
            second = self._measured(task, store.now)
            if second is None or second.rate < least * _NEAR or second.idle > idle * 2:
                continue
            yield Observation(
                "busy_loop",
                task.id,
                f"{title_of(task)} makes {fmt.rate(second.rate)} steps a second and never waits",
                strong=second.rate >= least and second.idle <= idle,
                task=task.id,
                name=task.name,
                site=task.site,
                evidence={
                    "steps_per_s": round(second.rate),
                    "idle": round(max(second.idle, 0.0), 3),
                    "share": round(task.share, 3),
                    "coro": task.coro,
                },
            )

    def _measured(self, task: Task, now: float) -> _Second | None:
        before = self._seconds.get(task.id)
        scheduled = task.scheduled or 0.0
        if before is None:
            self._seconds[task.id] = _Second(now, task.steps, task.busy, scheduled)
            return None
        elapsed = now - before.at
        if elapsed >= _SECOND:
            taken = task.busy - before.busy + scheduled - before.scheduled
            before.rate = (task.steps - before.steps) / elapsed
            before.idle = 1.0 - taken / elapsed
            before.at, before.steps, before.busy, before.scheduled = now, task.steps, task.busy, scheduled
        return before
