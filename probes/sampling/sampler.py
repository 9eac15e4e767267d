"""Collects what the hooks recorded: known tasks, changed records, counts by creation site.

Runs in the probe's thread, in short stretches.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from ..base import protocol
from ..base.task_facts import is_done
from ..base.turns import turns
from ..hooks import accounting, cancellation, install, loops, reading
from ..hooks.backend import MOST_NAMED
from ..hooks.groups import groups
from ..hooks.records import LoopRecord, SiteCounts, TaskRecord, begin, start_counting, tracebacks

if TYPE_CHECKING:
    from ..base.sites import Tables
    from .events import Events

MOST_SITES = 10_000
_NAMES_A_SECOND = 300.0
_FIRST = 1000
"""Records whose creation sites are looked up before all others, so that short lives there are counted at once."""
_SLICE = 64
_PRUNED = 10_000
"""Records that are processed, or only pruned, before giving up the GIL for a moment."""
_BLOCKED = 0.25
_GONE = -1
"""The outcome of a task that was collected before its end."""
_BLOCKED_EAGERLY = 0.05
_CROWD = 5000
"""Number of tasks above which a loop is not asked for all its tasks every second."""


class Changes:
    """The result of one look at the hooks; merged into every session."""

    __slots__ = ("ended", "gone", "lags", "live", "sites")

    def __init__(self) -> None:
        self.live: list[TaskRecord] = []
        self.ended: list[TaskRecord] = []
        self.gone: list[int] = []
        self.sites: set[int] = set()
        self.lags: dict[int, float] = {}  # by id of the loop: the worst (s) since the last look


class Sampler:
    """The only reader of `install.changed`."""

    def __init__(self, all_loops: loops.Loops, tables: Tables, events: Events) -> None:
        self.tables = tables
        self.site_counts: dict[int, SiteCounts] = {}
        self.by_id = install.new_table()
        self._loops = all_loops
        self._events = events
        self._sweep_due = 0.0
        self._watched = False
        self._totals = (0, 0, 0)
        self._totals_stale = True
        self.names_a_second = _NAMES_A_SECOND
        self._allowed = float(MOST_NAMED)
        self._named_at = monotonic()
        self._named = install.state.named = 0
        self._pruned = 500

    @property
    def watched(self) -> bool:
        """Whether somebody is connected; a first viewer finds tasks that passed no hook at once."""
        return self._watched

    @watched.setter
    def watched(self, watched: bool) -> None:
        if watched and not self._watched:
            self._sweep_due = 0.0
        self._watched = watched

    def start_counting(self) -> None:
        """Resets all counts and takes in the tasks that exist; called before the step hooks are installed."""
        install.changed.clear()
        groups.clear()
        # First of all: a task that is created without seeing this is in the records already, and is found below.
        install.state.watching = True
        self.site_counts.clear()
        install.site_aggregates.clear()
        cancellation.clear()
        self.by_id.clear()
        # Make the sites of existing records known, even if the tasks have ended: from now on the hooks count
        # short-lived tasks there, while those of unknown sites are processed one by one below.
        for record in install.walk(install.records, _FIRST):
            self._know(record)
        self.prune()
        known = Changes()
        for record in install.walk(install.records):
            known.live.clear()
            if reading.read(record, _count_from_now, record):
                self._book(record, known)  # not as a change: a new viewer gets all tasks anyway
            else:  # it ended while nothing was counted, and the program may still refer to it
                install.records.pop(record.key, None)
                start_counting(record)
        for loop, loop_record in self._loops.all():
            loop_record.steps = 0
            loop_record.busy = 0.0
            self._adopt(loop, loop_record)

    def forget(self) -> None:
        """Drops the last references to all records, with turns of the program in between: 100,000 take 15 ms."""
        while self.by_id.take(_PRUNED // 10):
            turns.give()

    def _adopt(self, loop: Any, loop_record: LoopRecord) -> None:
        """Registers tasks that bypassed the hooks: older than the probe, or made by calling `asyncio.Task`."""
        for ref in reading.strangers(loop):
            reading.read(ref, _adopt, loop_record)

    def sample(self) -> Changes:
        """Takes what the hooks recorded since the last look."""
        now = monotonic()
        if now >= self._sweep_due:
            turns.give()
            self._sweep(now)
            # Many tasks are swept less often: never more than 2 % of a core, or 0.05 % with nobody connected.
            least, share = (1.0, 50) if self.watched else (5.0, 2000)
            self._sweep_due = monotonic() + max(least, share * (monotonic() - now))
        changes = Changes()
        self._adopt_starting(now)
        for loop_record in list(install.loops.values()):
            changes.lags[loop_record.id] = loop_record.lag_peak
            loop_record.lag_peak = 0.0
        # At once, without a call in between: the hooks count on.
        lost, install.state.lost = install.state.lost, 0
        if lost:
            self._events.drop(lost)
        self._allow_names(now)
        cancellation.refill()
        take = install.changed.popleft
        for number in range(len(install.changed)):
            if number % _SLICE == _SLICE - 1:
                turns.give()
            record = take()
            record.dirty = False
            self._book(record, changes)
        for counts in list(install.site_aggregates.values()):
            unreported, counts.unreported = counts.unreported, 0
            if unreported:
                changes.sites.add(counts.site)
                self._events.leave_unnamed(unreported)
        for loop, _ in install.running():
            running = reading.running_record(loop)
            if running is None:
                continue
            begin(running)
            if running.dirty:
                continue
            if running.steps_reported < 0:
                self._book(running, changes)  # its first step
            else:
                changes.live.append(running)  # its row grows while it runs
        self._events.ends(changes.ended)
        self._totals_stale = self._totals_stale or bool(changes.sites)
        return changes

    def _adopt_starting(self, now: float) -> None:
        """Registers tasks that start eagerly and block their loop: the hooks make a record of them after that step."""
        for loop, record in install.running() if install.native_state is not None else ():
            if record.since and now - record.since > _BLOCKED_EAGERLY and reading.running_record(loop) is None:
                reading.read_any(_adopt_current, loop, record)

    def totals(self) -> tuple[int, int, int]:
        """Births, ends and failures since counting began."""
        if self._totals_stale:
            self._totals_stale = False
            known = list(self.site_counts.values())
            self._totals = (
                sum(counts.born for counts in known),
                sum(counts.ended for counts in known),
                sum(counts.failed for counts in known),
            )
        return self._totals

    def _allow_names(self, now: float) -> None:
        """Refills the budget of ends reported by name: MOST_NAMED in a burst, fewer per second if it goes on."""
        tracebacks.refill(now - self._named_at)
        used = install.state.named - self._named
        self._allowed = min(self._allowed - used + self.names_a_second * (now - self._named_at), float(MOST_NAMED))
        self._named = install.state.named = MOST_NAMED - max(int(self._allowed), 0)
        self._named_at = now

    def _book(self, record: TaskRecord, changes: Changes) -> None:
        """Takes what a record says now. Its task may go on meanwhile, and end: then it is queued again."""
        counts = None
        if record.steps_reported < 0:
            if record.dirty:  # queued again, or it has ended and was counted at its creation site
                return
            record.steps_reported = 0
            self.by_id[record.id] = record
            self._know(record)
            if record.counted is None:
                counts = self._counts(record.site)
                counts.born += 1
                changes.sites.add(record.site)
        outcome = record.outcome
        if not outcome and not reading.is_alive(record):
            outcome = record.outcome or _GONE
        steps = record.steps  # after the outcome, so that those of an end are all there
        if record.loop is not None:
            record.loop.steps += steps - record.steps_reported
        record.steps_reported = steps
        if outcome > 0:
            if install.records.get(record.key) is record:
                return  # its end is being recorded, which may call code of the program; it is queued afterwards
            if self.by_id.pop(record.id, None) is None:
                return  # queued twice
            counts = counts or self._counts(record.site)
            counts.ended += 1
            counts.failed += outcome == protocol.FAILED
            counts.cancelled += outcome == protocol.CANCELLED
            counts.busy += record.busy
            counts.steps += steps
            changes.sites.add(record.site)
            changes.ended.append(record)
        elif outcome == _GONE:
            self.by_id.pop(record.id, None)
            changes.gone.append(record.id)
        else:
            changes.live.append(record)

    def _know(self, record: TaskRecord) -> None:
        """Looks up the creation site of a record, and lets the hooks count short-lived tasks there."""
        code, lasti = record.code, record.lasti
        record.site = site = self.tables.site_at(code, lasti)
        if code is None or not site or install.site_aggregates.get(code, lasti) is not None:
            return
        if len(install.site_aggregates) < MOST_SITES:
            install.site_aggregates.put(code, lasti, self._counts(site))

    def _counts(self, site: int) -> SiteCounts:
        counts = self.site_counts.get(site)
        if counts is None:
            counts = self.site_counts[site] = SiteCounts(site)
        return counts

    def _sweep(self, now: float) -> None:
        """Finds, once a second, tasks that bypassed the hooks, became ready behind a blocked loop, or were
        collected."""
        self.prune_if_grown()
        reading.settle(None)
        for task_record in install.walk(self.by_id):
            if not reading.is_alive(task_record):
                if install.records.get(task_record.key) is task_record:
                    del install.records[task_record.key]
                if not task_record.dirty:
                    install.add_changed(task_record)
        crowd = len(install.records) > _CROWD
        if crowd:
            self._report_unstarted()
        for loop, record in self._loops.all():
            if record.thread and not crowd:
                self._adopt(loop, record)
            if record.since and now - record.since > _BLOCKED:
                self._mark_ready(record)

    def _report_unstarted(self) -> None:
        """Queues tasks that have not stepped yet. Asking a loop for all its tasks takes too long with many, and is not
        needed: those that bypassed the hooks are adopted at their first step.
        """
        for record in install.walk(install.records):
            if _is_unknown(record) and reading.is_alive(record):
                install.add_changed(record)

    def prune_if_grown(self) -> None:
        """Removes the records of collected tasks, if there may be many."""
        if len(install.records) > self._pruned * 1.5:
            self.prune()

    def prune(self) -> None:
        """Removes the records of collected tasks: about a millisecond for 100,000, in slices."""
        start = install.prune(0, _PRUNED)
        while start:
            turns.give()
            start = install.prune(start, _PRUNED)
        self._pruned = max(len(install.records), 500)

    def _mark_ready(self, loop: LoopRecord) -> None:
        for record in install.walk(self.by_id, 20_000):
            if record.loop is loop and not record.dirty and loops.state_of(record) == protocol.SCHEDULED:
                install.add_changed(record)


def _adopt(task: Any, loop_record: LoopRecord) -> None:
    if is_done(task):
        return
    record = install.record_of(task)
    if record is None:
        install.adopt(task, loop_record)
    elif install.state.watching and _is_unknown(record):
        install.add_changed(record)  # it has not stepped yet


def _adopt_current(loop: Any, loop_record: LoopRecord) -> None:
    task = reading.hold(install.current_task_of(loop))
    if task is not None:
        _adopt(task, loop_record)


def _count_from_now(task: Any, record: TaskRecord) -> bool:
    """Begins to count a task; False if it has ended."""
    if is_done(task):
        return False
    start_counting(record)
    accounting.enter_group(record, task)
    return True


def _is_unknown(record: TaskRecord) -> bool:
    begin(record)
    return not record.dirty and record.steps_reported < 0
