"""The data of a store, and its updates of session, details and events."""

from __future__ import annotations

from collections import deque
from typing import Any

from msgspec.structs import replace

from monitor.protocol import frames, scan_frames
from monitor.protocol.rows import SECOND, WaitRow
from monitor.protocol.thread_frames import ThreadsReply
from monitor.store import convert
from monitor.store.cancel_text import named
from monitor.store.ends import Ends
from monitor.store.flame import FlameSamples
from monitor.store.label_groups import LabelGroups
from monitor.store.memory import Memory
from monitor.store.model import Loop, NeverAwaited, Notice, Probe, Process, Session, SiteStats, TaskDetail, Unhandled
from monitor.store.past import Past
from monitor.store.series import Series
from monitor.store.slow_log import SlowLog
from monitor.store.sync_scan import SyncScan, scan_of
from monitor.store.tables import Tables
from monitor.store.task_names import title_of
from monitor.store.tasks import Tasks
from monitor.store.threads import LOOKS, Threads, compared

MOST_NOTES = 1000
MOST_DETAILS = 200_000
MOST_IN_DETAILS = 16 << 20
"""Limit of frames, ids and characters in all details together; beyond it all are dropped."""


class State:
    """All data of one watched program. Keyframes save and restore it; a store applies frames to it."""

    def __init__(self) -> None:
        self.revision = 0
        self.worker: int | None = None  # its slot, if it is one process of a set; set by the owner of the store
        self.clear()

    def clear(self) -> None:
        """Reset everything except revision and slot."""
        self.session: Session | None = None
        self.now = 0.0  # Unix time of the last frame, by the clock of the watched program
        self.now_us = 0
        self.whole_us = 0  # time of the last complete tick
        self.watched_since = 0.0
        self.stale = False  # no more frames are expected; set by the owner of the store
        self.tasks = Tasks()
        self.ended = Ends()
        self.slow = SlowLog()
        self.unhandled: deque[Unhandled] = deque(maxlen=MOST_NOTES)
        self.notices: deque[Notice] = deque(maxlen=MOST_NOTES)
        self.never_awaited: deque[NeverAwaited] = deque(maxlen=MOST_NOTES)
        self.sync_scan = SyncScan()
        self.scan_frame: tuple[int, scan_frames.SyncScan] | None = None  # when it came, and its frame
        self.thread_looks: tuple[ThreadsReply, ...] = ()  # the newest last
        self.loops: dict[int, Loop] = {}
        self.ticking: frozenset[int] = frozenset()  # loops of the last complete tick
        self.sites: dict[int, SiteStats] = {}
        self.label_groups = LabelGroups()
        self.details: dict[int, TaskDetail] = {}
        self._in_details = 0  # size of the details since they were last dropped
        self.process = Process()
        self.probe = Probe()
        self.memory = Memory()
        self.flame = FlameSamples()
        self.past = Past()
        self.left = 0
        self.missed_events = 0
        self.last_event: int | None = None  # number of the newest event
        self.heard_from = 0  # us; gaps before it are events that fell out of the probe's rings before this viewer came
        self.steps = Series()
        self.task_counts = Series()
        self.ended_total = 0
        self.tables = Tables()

    def begin(self, hello: frames.Hello) -> None:
        """Begin or continue the session of a hello frame. Another session resets the state first."""
        if self.session is not None and self.session.id != hello.session:
            self.clear()
        same = self.session is not None
        self.session = convert.SESSION.decode(hello, self.tables)
        self.now = hello.now * SECOND
        self.now_us = hello.now
        if same:
            # A probe sends everything again after a reconnect; tasks that it does not send are gone.
            self.tasks.clear()
        else:
            self.watched_since = self.now
            self.heard_from = hello.now
        self.tables = Tables()

    def forget(self, task_id: int) -> None:
        """Remove a live task and its detail."""
        self.tasks.forget(task_id)
        self.details.pop(task_id, None)

    def title_of(self, task_id: int | None) -> str:
        """What a task is called; empty if it is not known, or no more."""
        known = self.tasks.get(task_id or 0) or self.ended.of(task_id or 0)
        return "" if known is None else title_of(known)

    def add_scan(self, at: int, scan: scan_frames.SyncScan) -> None:
        """Replaces what the findings are made from; `at` is Unix microseconds."""
        self.scan_frame = (at, scan)
        self.sync_scan = scan_of(scan, at * SECOND, self.tables)

    def add_threads(self, look: ThreadsReply) -> None:
        """Adds a look at the threads. A segment of a black box begins with that of the one before again."""
        if self.thread_looks and self.thread_looks[-1].at == look.at:
            return
        self.thread_looks = (*self.thread_looks[1 - LOOKS :], look)

    @property
    def threads(self) -> Threads:
        """The threads at the newest look."""
        return compared(self.thread_looks, self.tables, self.loops.values())

    def add_detail(self, frame: frames.Detail) -> None:
        """Keep the detail of a task and its wait. If there are too many, the others are dropped."""
        self._in_details += _weight(frame)
        if len(self.details) >= MOST_DETAILS or self._in_details > MOST_IN_DETAILS:
            self.details.clear()
            self._in_details = _weight(frame)
        detail = self.details[frame.id] = convert.detail_of(frame, self.tables)
        wait = detail.waiting_on
        row = WaitRow(detail.id, None, None) if wait is None else WaitRow(detail.id, wait.kind, wait.repr, frame.at)
        self.tasks.apply_wait(row, self.tables)

    def add_event(self, event: frames.Event) -> None:
        """Add an event to its log, whatever its number."""
        match event.kind:
            case "slow_callback":
                self.slow.add(convert.SLOW_CALLBACK.decode(event, self.tables))
            case "task_ended":
                self.ended_total += 1
                ended = convert.ENDED_TASK.decode(event, self.tables)
                if ended.cancelled_by is not None:
                    ended = replace(ended, cancelled_by=named(ended.cancelled_by, self.title_of))
                self.ended.append(ended)
                if event.task is not None:
                    self.forget(event.task)
            case "unhandled":
                self.unhandled.append(convert.UNHANDLED.decode(event, self.tables))
            case "never_awaited":
                self.never_awaited.append(convert.never_awaited_of(event, self.tables))
            case "notice" | "memory":
                self.notices.append(convert.NOTICE.decode(event, self.tables))
            case _:
                pass

    def forget_events_before(self, at: float) -> None:
        """Forget what happened before a time. Of lines that blocked, what is left is what the log still has."""
        slow, ended = self.slow, list(self.ended)
        self.slow = SlowLog()
        for one in slow.entries:
            if one.at >= at:
                self.slow.add(one)
        self.ended.clear()
        for end in ended:
            if end.ended >= at:
                self.ended.append(end)
        kept: deque[Unhandled] | deque[Notice] | deque[NeverAwaited]
        for kept in (self.unhandled, self.notices, self.never_awaited):
            while kept and kept[0].at < at:
                kept.popleft()
        self.revision += 1

    def copy_to(self, twin: State) -> None:
        """Copy everything into another state."""
        for name, value in vars(self).items():
            setattr(twin, name, value)
        copied: dict[str, Any] = {
            "tasks": self.tasks.frozen(),
            "ended": self.ended.copy(),
            "unhandled": self.unhandled.copy(),
            "notices": self.notices.copy(),
            "never_awaited": self.never_awaited.copy(),
            "slow": self.slow.frozen(),
            "loops": {
                number: replace(loop, lags=loop.lags.copy(), utilizations=loop.utilizations.copy())
                for number, loop in self.loops.items()
            },
            "steps": self.steps.copy(),
            "task_counts": self.task_counts.copy(),
            "sites": {number: replace(stats) for number, stats in self.sites.items()},
            "label_groups": self.label_groups.frozen(),
            "details": dict(self.details),
            "process": replace(self.process),
            "probe": replace(self.probe),
            "memory": self.memory.frozen(),
            "flame": self.flame.frozen(),
            "past": self.past.copy(),
        }
        vars(twin).update(copied)


def _weight(detail: frames.Detail) -> int:
    numbers = len(detail.await_stack) + 3 * len(detail.await_tasks) + len(detail.awaited_by) + len(detail.origin or ())
    return numbers + (0 if detail.waiting_on is None else len(str(detail.waiting_on)))
