"""The model. `apply(frame)` is the only writer; it knows no widget, colour or socket."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from monitor.protocol import frames, keyframes
from monitor.store import rates
from monitor.store.codec import keyframe_decode, keyframe_encode
from monitor.store.ends import Ends
from monitor.store.from_frames import (
    block_of,
    detail_of,
    ended_task_of,
    never_awaited_of,
    notice_of,
    session_of,
    slow_callback_of,
    unhandled_of,
)
from monitor.store.memory import Memory
from monitor.store.microseconds import SECOND
from monitor.store.model import Loop, NeverAwaited, Notice, Probe, Process, Session, SiteStats, TaskDetail, Unhandled
from monitor.store.series import Series
from monitor.store.signs import Signs, signs_of
from monitor.store.slow_log import SlowLog
from monitor.store.tables import Tables
from monitor.store.tasks import Tasks
from probes.base import protocol

if TYPE_CHECKING:
    from monitor.protocol.rows import SiteRow

MOST_NOTES = 1000
MOST_LOOPS = 5000
MOST_DETAILS = 200_000
MOST_IN_DETAILS = 16 << 20
"""Frames, ids and characters in all details; beyond that all of them are forgotten."""


class Store:
    """Everything that is known of one watched program. A new session empties it: nothing is mixed."""

    def __init__(self) -> None:
        self.revision = 0
        self._clear()

    def _clear(self) -> None:
        self.session: Session | None = None
        self.now = 0.0  # Unix time of the last frame, by the clock of the watched program
        self.watched_since = 0.0
        self.stale = False  # whether nothing comes any more, as far as its owner knows
        self.tasks = Tasks()
        self.ended = Ends()
        self.slow = SlowLog()
        self.unhandled: deque[Unhandled] = deque(maxlen=MOST_NOTES)
        self.notices: deque[Notice] = deque(maxlen=MOST_NOTES)
        self.never_awaited: deque[NeverAwaited] = deque(maxlen=MOST_NOTES)
        self.signs = Signs()
        self._signs_told: tuple[int, frames.SyncScan] | None = None  # when, and what it is made of: for a keyframe
        self.loops: dict[int, Loop] = {}
        self.sites: dict[int, SiteStats] = {}
        self.details: dict[int, TaskDetail] = {}
        self._in_details = 0  # since they were last forgotten
        self.process = Process()
        self.probe = Probe()
        self.memory = Memory()
        self.left = 0
        self.missed_events = 0
        self.steps = Series()
        self.task_counts = Series()
        self.ended_total = 0
        self.tables = Tables()
        self._last_seq: int | None = None
        self._heard_from = 0  # µs: gaps before that are of events that fell out of the rings before anybody looked
        self._now_us = 0
        self._whole_us = 0  # of the last tick that was not a piece

    def apply(self, frame: frames.Frame) -> None:
        """Takes one frame in."""
        match frame:
            case frames.Tick():
                self._apply_tick(frame)
            case frames.Static():
                self._apply_static(frame)
            case frames.Event():
                self._apply_event(frame)
            case frames.Reply():
                for detail in frame.details:
                    self._apply_detail(detail)
                self.memory.apply_reply(frame, self.tables)
            case frames.Hello():
                self._apply_hello(frame)
            case keyframes.Keyframe():
                keyframe_decode.restore(self, frame)
            case _:
                return
        self.revision += 1

    # What a reader asks

    @property
    def read_only(self) -> bool:
        """Whether the program is read from outside, where no times are taken."""
        return self.session is not None and self.session.read_only

    @property
    def roots(self) -> tuple[str, ...]:
        """Folders by which paths are shortened for a person."""
        return tuple(self.session.paths.get("path", ())) if self.session is not None else ()

    @property
    def last_seq(self) -> int:
        """The number of the newest event; 0 before the first one."""
        return self._last_seq or 0

    def frozen(self) -> Store:
        """A copy that stays as it is while this one goes on: what a viewer who pauses looks at."""
        twin = Store()
        for name, value in vars(self).items():
            setattr(twin, name, value)
        twin.tasks = self.tasks.frozen()
        twin.ended, twin.unhandled, twin.notices = self.ended.copy(), self.unhandled.copy(), self.notices.copy()
        twin.never_awaited = self.never_awaited.copy()
        twin.slow = self.slow.frozen()
        twin.loops = {
            number: replace(loop, lags=loop.lags.copy(), utilizations=loop.utilizations.copy())
            for number, loop in self.loops.items()
        }
        twin.steps, twin.task_counts = self.steps.copy(), self.task_counts.copy()
        twin.sites = {number: replace(stats) for number, stats in self.sites.items()}
        twin.details = dict(self.details)
        twin.process, twin.probe = replace(self.process), replace(self.probe)
        twin.memory = self.memory.frozen()
        return twin

    def take_answer(self, frame: frames.Frame, live: Store) -> None:
        """Takes into a frozen copy what was asked for after it was made. `live` has applied the frame already."""
        match frame:
            case frames.Reply():
                self.memory.apply_reply(frame, self.tables)
                told = [detail.id for detail in frame.details]
            case frames.Tick(detail=frames.Detail() as detail):
                told = [detail.id]
            case _:
                return
        new = {number: live.details[number] for number in told if number not in self.details and number in live.details}
        self.details.update(new)
        if new or isinstance(frame, frames.Reply):
            self.revision += 1

    def keyframe(self, *, history: bool = False) -> keyframes.Keyframe:
        """All of it as one frame: another store that gets that frame is like this one. See `store.keyframe`."""
        return keyframe_encode.take(self, history)

    def steps_per_s(self) -> float | None:
        """Steps per second of all loops together."""
        rates = [loop.steps_per_s for loop in self.loops.values() if loop.steps_per_s is not None]
        return sum(rates) if rates else None

    def measure_sites(self) -> None:
        """Takes births and deaths per second of each site, over a second at least; for readers, once a look."""
        for stats in self.sites.values():
            rates.measure_site(stats, self.now)

    def note(self, text: str) -> None:
        """Adds a notice of the viewer's own, such as a broken connection."""
        self.notices.append(Notice(self.now, text))
        self.revision += 1

    # What the frames say

    def _apply_hello(self, hello: frames.Hello) -> None:
        if self.session is not None and self.session.id != hello.session:
            self._clear()
        same = self.session is not None
        self.session = session_of(hello)
        self.now = hello.now * SECOND
        self._now_us = hello.now
        if same:
            # The probe tells a viewer that comes again everything again; what it does not tell is gone.
            self.tasks.clear()
        else:
            self.watched_since = self.now
            self._heard_from = hello.now
        self.tables = Tables()

    def _apply_static(self, static: frames.Static) -> None:
        self.tables.add(static.strings, static.sites)
        for facts in static.loops:
            loop = self.loops.get(facts.id)
            if loop is None:
                self.loops[facts.id] = Loop(facts.id, facts.kind, facts.thread, facts.name)
                if len(self.loops) > MOST_LOOPS:
                    del self.loops[next(iter(self.loops))]
            else:
                loop.kind, loop.thread, loop.name = facts.kind, facts.thread, facts.name
        whole = not self.tasks.left_out
        for row in static.tasks:
            self.tasks.apply_facts(row, self.tables, self.now)
        if whole and self.tasks.left_out:
            self.note(f"there are too many tasks: {len(self.tasks)} are kept")

    def _apply_tick(self, tick: frames.Tick) -> None:
        before, self._now_us = self._now_us, max(tick.at, self._now_us)
        self.now = self._now_us * SECOND
        elapsed = 0.0
        if tick.loops:
            # A tick without loops is a piece of one; rates are taken between whole ones.
            before, self._whole_us = self._whole_us or before, self._now_us
            elapsed = (self._now_us - before) * SECOND
        self.left = tick.left
        for row in tick.tasks:
            if row.state >= protocol.ENDED:
                self._forget(row.id)
            elif row.state >= 0:
                self.tasks.apply_row(row, self.now)
        if tick.loops:
            self.tasks.measure(self.now)
        for task_id in tick.gone:
            self._forget(task_id)
        for loop_row in tick.loops:
            loop = self.loops.get(loop_row.id)
            if loop is not None:
                rates.apply_loop_row(loop, loop_row, self.now, elapsed)
                loop.block = None
        for blocked_row in tick.blocked:
            loop = self.loops.get(blocked_row.loop)
            if loop is not None:
                loop.block = block_of(blocked_row, self.tables)
        for site_row in tick.sites:
            self._apply_site_row(site_row)
        for wait_row in tick.waits:
            self.tasks.apply_wait(wait_row.id, wait_row.kind, wait_row.text)
        self._apply_looks(tick)
        if tick.loops:
            self.steps.add(self.steps_per_s() or 0.0)
            self.task_counts.add(float(len(self.tasks)))

    def _apply_signs(self, at: int, told: frames.SyncScan) -> None:
        self._signs_told = (at, told)
        self.signs = signs_of(told, at * SECOND, self.tables)

    def _apply_looks(self, tick: frames.Tick) -> None:
        """What comes now and then."""
        if tick.detail is not None:
            self._apply_detail(tick.detail)
        if tick.signs is not None:
            self._apply_signs(self._now_us, tick.signs)
        if tick.memory is not None:
            self.memory.apply_tick(tick.memory)
        if tick.process is not None:
            rates.apply_process(self.process, tick.process, self.now)
        if tick.probe is not None:
            if self.probe.cpu_total is not None:  # the first tells of a time before this viewer came
                self.ended_total += max(tick.probe.unnamed - self.probe.unnamed, 0)
            rates.apply_probe(self.probe, tick.probe, self.now)

    def _forget(self, task_id: int) -> None:
        self.tasks.forget(task_id)
        self.details.pop(task_id, None)

    def _apply_site_row(self, row: SiteRow) -> None:
        if not 0 <= row.site < len(self.tables.sites):
            return
        stats = self.sites.get(row.site)
        if stats is None:
            stats = self.sites[row.site] = SiteStats(
                self.tables.sites[row.site], measured=self.now, measured_born=row.born, measured_ended=row.ended
            )
        rates.apply_site_row(stats, row)

    def _apply_detail(self, told: frames.Detail) -> None:
        self._in_details += _weight(told)
        if len(self.details) >= MOST_DETAILS or self._in_details > MOST_IN_DETAILS:
            self.details.clear()
            self._in_details = _weight(told)
        detail = self.details[told.id] = detail_of(told, self.tables)
        wait = detail.waiting_on
        self.tasks.apply_wait(detail.id, *((None, None) if wait is None else (wait.kind, wait.repr)))

    def _apply_event(self, event: frames.Event) -> None:
        if self._last_seq is not None:
            if event.seq <= self._last_seq:
                return
            if event.at >= self._heard_from:
                self.missed_events += event.seq - self._last_seq - 1
        self._last_seq = event.seq
        match event.kind:
            case "slow_callback":
                self.slow.add(slow_callback_of(event, self.tables))
            case "task_ended":
                self.ended_total += 1
                self.ended.append(ended_task_of(event, self.tables))
                if event.task is not None:
                    self._forget(event.task)
            case "unhandled":
                self.unhandled.append(unhandled_of(event, self.tables))
            case "never_awaited":
                self.never_awaited.append(never_awaited_of(event, self.tables))
            case "notice" | "memory":
                self.notices.append(notice_of(event))
            case _:
                pass


def _weight(detail: frames.Detail) -> int:
    numbers = len(detail.await_stack) + 3 * len(detail.await_tasks) + len(detail.awaited_by) + len(detail.origin or ())
    return numbers + (0 if detail.waiting_on is None else len(str(detail.waiting_on)))
