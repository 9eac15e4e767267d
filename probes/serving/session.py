"""The session of one viewer: its subscription, what it has received, and the next piece of output.

There is no queue of old frames: changes are merged into a set of dirty records, and a tick is made only when the
previous one was sent. So a viewer that does not read costs one piece of output and the sets, whatever the program does.
"""

from __future__ import annotations

from array import array
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ..base import protocol, sites
from ..base.id_bitset import Ids
from ..base.turns import turns
from ..hooks import install, loops, reading
from ..hooks.backend import FREE_THREADED
from ..hooks.groups import groups
from ..inspection import detail
from ..sampling import rows
from ..trace.ring import Names, Reader
from . import task_query
from .encoder import PIECE, Encoder
from .flame_rows import FlameRows
from .group_rows import GroupRows
from .requests import Requests
from .subscription import Watch
from .wait_rows import WaitRows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..hooks.records import TaskRecord
    from ..sampling.sampler import Changes
    from .host import Host
    from .thread_looks import ThreadLooks

MOST_ROWS = 2000
"""Most rows in one tick; further changes come in the next."""
MOST_UNASKED = 500
"""The same for the black box: each of 5,000 busy tasks comes every ten seconds."""
LEAST_ROWS = 100
STREAM = 150_000
"""Bytes per second for one viewer that has received everything once; further changes come in the next ticks."""
MOST_SITES = 5000
MOST_GONE = 20_000
"""Most site counts, and most ids of collected tasks, in one frame, so that it stays below protocol.MAX_FRAME."""
AT_ONCE = 16
"""Tasks whose rows are made before giving up the GIL for a moment."""
MOST_EVENTS = 300
PROCESS_EVERY = 0.95
"""Seconds between two looks at the process: a little less than a second, else every other one came a tick late."""
PROCESS_AGAIN = 0.4
"""Seconds between the first two, since the share of a processor is known only after the second."""
BOXED_EVERY = 10.0
"""Seconds between two looks at the groups and the process for the black box."""
WHOLE_EVERY = 30.0
"""Seconds between its whole ticks while nothing happens; those between have the loops and the history only."""


class Session:
    """What one viewer has received, and what it gets next."""

    def __init__(self, probe: Host) -> None:
        self._probe = probe
        self._sampler = probe.sampler
        self.watch = Watch(probe.settings.slow)
        self.watching = False
        self.due = 0.0
        self._encoder = Encoder(self._sampler.tables, probe.loops)
        self._known = Ids()
        self._dirty = install.new_table()
        self._gone: list[int] = []
        self._backlog = array("q")  # keys of records, the next one last; the collector need not pass over them
        self._sites: set[int] = set()
        self._lag: dict[int, float] = {}
        self._last_event = 0
        self._missed = 0
        self._events_left = 0  # for the next ticks
        self._skipped = 0  # events since the last one sent that this viewer did not ask for: no loss
        self._first_event = probe.journal.last_seq  # what fell out of the rings before it came is no loss either
        self._row_cost = 40.0
        self._events_cost = 0
        self._over = 0.0  # bytes sent beyond STREAM, since the size of a row is an estimate
        self._requests = Requests(probe)
        self._process_due = 0.0
        self._threads_due = 0.0
        self._boxed_threads: ThreadLooks | None = None  # for the black box only
        self._past: Iterator[dict[str, Any]] | None = None
        self._past_sent: dict[tuple[int, int], int] = {}
        self._past_rows: int | None = None  # most rows of a series; for the black box only
        self._whole_due = 0.0
        self._most_rows = MOST_ROWS
        self._most_dirty: int | None = None  # for the black box only
        self.detailed: TaskRecord | None = None
        self.tracing_reported = False
        self.flame = FlameRows(self.watch)
        self._groups = GroupRows(probe)
        self._waits = WaitRows(probe, self.watch)
        self._scan_sent = 0
        self._steps: Reader | Names | None = None

    # Input

    def take(self, frame: dict[str, Any]) -> list[dict[str, Any]]:
        """Handles a frame of the viewer; returns frames to send at once. Raises BadRequestError."""
        kind = frame.get("type")
        if kind == "watch":
            before = (self.watching, self.watch.filter, self.watch.rows)
            self.watch.update(frame)
            self.watching = True
            self._probe.viewers_changed()
            if "steps" in frame:
                past = self.watch.steps == "past"
                self._steps = Reader(self._probe.ring, past) if self.watch.steps is not None else None
            if before != (True, self.watch.filter, self.watch.rows):
                self._begin()
            return []
        if kind == "request":
            return self._requests.take(self, frame)
        return []  # a newer viewer may send types that this probe does not know

    def begin_unasked(self, last_event: int, most: int, past_rows: int, threads: ThreadLooks) -> None:
        """Begins for the black box: with the events after a number, at most so many tasks, history, and threads."""
        self.watching = True
        self.watch.history = self.watch.findings = self.watch.groups = self.watch.groups_by_site = True
        self.watch.flame = self._probe.settings.box_flame
        self._past_rows = past_rows
        self._boxed_threads = threads
        self._steps = Names(self._probe.ring)
        self._most_rows = MOST_UNASKED
        self._most_dirty = most
        self._groups.every = BOXED_EVERY
        self._last_event = last_event
        self._begin()
        del self._backlog[:-most]

    @property
    def behind(self) -> int:
        """How many tasks are still to be sent."""
        return len(self._backlog)

    def drop_backlog(self) -> None:
        """Gives up sending the tasks that are still to be sent; each is sent when it changes."""
        del self._backlog[:]

    @property
    def last_event(self) -> int:
        """The number of the newest event that was sent."""
        return self._last_event

    def _begin(self) -> None:
        """Queues all tasks: those of the first screen first, then the rest in pieces."""
        keys = array("q")

        def wanted() -> Iterator[TaskRecord]:
            for record in task_query.counted() if self.watch.rows else ():
                if self._wanted(record):
                    keys.append(record.key)
                    yield record

        sort, limit = task_query.order(self.watch.first)
        first = [record.key for record in task_query.first(wanted(), sort, min(limit, PIECE))]
        chosen = set(first)
        self._backlog = array("q", (key for key in turns.over(reversed(keys)) if key not in chosen))
        self._backlog.extend(reversed(first))
        self._dirty.clear()
        counted = list(self._sampler.site_counts.values())
        self._sites = {counts.site for counts in counted if counts.born or counts.ended}
        self.due = 0.0

    def _wanted(self, record: TaskRecord) -> bool:
        return self.watch.filter is None or task_query.named(record, self.watch.filter)

    # Changes

    def merge(self, changes: Changes) -> None:
        """Merges changes with those that are still to be sent."""
        if not self.watching:
            return
        dirty = self._dirty
        if self.watch.rows:
            for record in turns.over(self._fitting(changes.live)):
                dirty[record.id] = record
            for record in turns.over(changes.ended):
                if record.id in self._known:
                    dirty[record.id] = record
                else:
                    dirty.pop(record.id, None)
            for number in turns.over(changes.gone):
                dirty.pop(number, None)
                if number in self._known:
                    self._gone.append(number)
        self._sites |= changes.sites
        for number, lag in changes.lags.items():
            self._lag[number] = max(self._lag.get(number, 0.0), lag)

    def _fitting(self, live: list[TaskRecord]) -> list[TaskRecord]:
        """Those of which there is room for a row. What the black box leaves out comes when it changes again."""
        room = len(live) if self._most_dirty is None else max(self._most_dirty - len(self._dirty), 0)
        if len(live) <= room:
            return live
        fitting = []
        for record in turns.over(live):
            if record.id in self._known or record.id in self._dirty:
                fitting.append(record)
            elif room:
                room -= 1
                fitting.append(record)
        return fitting

    # Output

    def next_output(self, now: float) -> bytes:
        """The next piece of output, or nothing; called only when the previous one was sent."""
        if self._requests.pending:
            piece = self._requests.next_piece()
            return b"" if piece is None else self._encoder.lines(piece)
        if not self.watching:
            return b""
        if now >= self.due:
            # At moments shared by all viewers of this rate, and of half of it: one look at the hooks serves all.
            # Counted from now, so that a slow viewer gets one fresh tick instead of many.
            self.due = (int(now * self.watch.rate + 0.5) + 1) / self.watch.rate
            return self._tick(now)
        if self._past is not None:
            return self._next_past()
        if self._backlog:
            return self._encoder.lines([self.rows(self._take_backlog())])
        if self._steps is not None and self._steps.pending():
            return self._encoder.lines(self._new_steps())
        return b""

    def wants_output(self) -> bool:
        """Whether there is something that does not wait for the next tick."""
        more = self._steps is not None and self._steps.pending()
        return bool(self._requests.pending or (self.watching and (self._backlog or self._past is not None or more)))

    def _next_past(self) -> bytes:
        """Figures of one thing from the time before, a frame at a time: the program gets its turn in between."""
        frame = next(self._past, None) if self._past is not None else None
        if frame is None:
            self._past = None
            return b""
        return protocol.encode(frame)

    def _new_steps(self) -> list[dict[str, Any]]:
        frame = None if self._steps is None else self._steps.frame()
        return [] if frame is None else [frame]

    def _take_backlog(self) -> list[TaskRecord]:
        backlog = self._backlog
        keys = [backlog.pop() for _ in range(min(PIECE, len(backlog)))]
        return list(filter(None, map(install.records.get, keys)))

    def _take_dirty(self) -> list[TaskRecord]:
        """Takes visible tasks first, then others in turn, the oldest of them first."""
        dirty = self._dirty
        taken = [dirty.pop(number) for number in self.watch.window if number in dirty]
        room = int((STREAM / self.watch.rate - self._events_cost - self._over) / self._row_cost) - len(taken)
        room = min(max(room, LEAST_ROWS), self._most_rows)
        return taken + sorted(dirty.take(room), key=attrgetter("id"))

    def _look_at_threads(self, now: float) -> dict[str, Any] | None:
        if self._boxed_threads is not None:
            return self._boxed_threads.next(now, partial(self._requests.threads, self))
        if not self.watch.threads or now < self._threads_due:
            return None
        self._threads_due = now + self.watch.threads - 0.05
        return self._requests.threads(self)

    def _idle(self, now: float) -> bool:
        """Whether a tick of the black box may leave out all but the loops and the history, as nothing else is new."""
        probe = self._probe
        return (
            self._past_rows is not None
            and now < self._whole_due
            and not (self._dirty or self._gone or self._sites or self._backlog or self._past or self.watch.window)
            and not self.watch.flame
            and probe.journal.last_seq == self._last_event
            and probe.sync_scanner.number == self._scan_sent
            and not self._probe.watchdog.blocked(self.watch.slow)
        )

    def _idle_tick(self) -> bytes:
        tick = {"type": "tick", "at": self._probe.clock.unix(), "loops": self._loop_rows()}
        return self._encoder.lines([tick]) + self._new_past()

    def _new_past(self) -> bytes:
        """For the black box: the rows of the history since the last ones, if those before have been written."""
        if self._past is not None:
            return b""
        if not self._past_sent:
            self._past = self._probe.history.frames(self._past_sent, self._past_rows)
            return b""
        return b"".join(map(protocol.encode, self._probe.history.frames(self._past_sent, self._past_rows)))

    def _tick(self, now: float) -> bytes:
        if self._idle(now):
            return self._idle_tick()
        frames = []
        records = self._take_backlog() if self._backlog and not self._known else []
        records += self._take_dirty()
        tick = self.rows(records[:PIECE])
        frames.append(tick)
        for start in range(PIECE, len(records), PIECE):
            detail.yield_gil_if_due()
            frames.append(self.rows(records[start : start + PIECE]))
        tick["gone"], self._gone = self._gone[:MOST_GONE], self._gone[MOST_GONE:]
        self._known.difference_update(tick["gone"])
        tick["loops"] = self._loop_rows()
        tick["blocked"] = self._blocked()
        sent, counts = set(islice(self._sites, MOST_SITES)), self._sampler.site_counts
        self._sites -= sent
        tick["sites"] = [rows.site_row(counts[site]) for site in sent if site in counts]
        waits, renamed = self._waits.rows(tick["tasks"], self._known, self._static_of)
        tick["waits"] = waits
        tick["static"] += renamed
        if self.detailed is not None and self.detailed.id == self.watch.detail:
            tick["detail"] = detail.detail_of(self.detailed, self._sampler.tables)
        flame = self.flame.rows(self._probe.flames.why_not)
        if flame is not None:
            tick["flame"] = flame
        found = self._groups.rows(now, self.watch.groups_by_site) if self.watch.groups and not FREE_THREADED else None
        if found is not None:
            tick["groups"] = found
        look = self._look_at_threads(now)
        if look is not None:
            tick["threads"] = look
        second, boxed = now >= self._process_due, self._past_rows is not None
        if second:
            self._process_due = now + (BOXED_EVERY if boxed else PROCESS_EVERY if self._process_due else PROCESS_AGAIN)
            tick["process"] = self._probe.facts.process(histograms=not boxed)
            if self.watch.history and self._past is None and not boxed:
                self._past = self._probe.history.frames(self._past_sent, self._past_rows)
        memory = self._probe.memory.facts(self, second)
        if memory is not None:
            tick["memory"] = memory
        scanner = self._probe.sync_scanner
        if self.watch.findings and scanner.number != self._scan_sent:
            self._scan_sent = scanner.number
            tick["sync_scan"] = scanner.facts
        tick["probe"] = self._probe.facts.probe(self._missed)
        happened = self._events() if self.watch.events else []
        if self._events_left:
            tick["events_left"] = self._events_left
        out = self._encoder.lines(frames)
        if len(records) >= LEAST_ROWS:
            self._row_cost = len(out) / len(records)
        events = self._encoder.lines(happened)
        self._events_cost = len(events)
        share = STREAM / self.watch.rate
        self._over = min(max(self._over + len(out) + len(events) - share, 0.0), share)
        self._whole_due = now + WHOLE_EVERY
        return out + events + self._encoder.lines(self._new_steps()) + (self._new_past() if boxed else b"")

    def rows(self, records: list[TaskRecord]) -> dict[str, Any]:
        """A tick with the rows of some tasks; task facts that the viewer lacks are in its `static`."""
        found, facts = [], []
        for number, record in enumerate(records):
            if number % AT_ONCE == 0:
                turns.give()
            row = rows.row_of(record, self._label_of(record))
            if row is None:
                continue
            if row[1] >= protocol.ENDED:  # also if no hook has seen the end; sent once in any case
                if record.id in self._known:
                    self._known.discard(record.id)
                    found.append(row)
                continue
            if not self._wanted(record):
                continue
            if record.id not in self._known:
                static = self._static_of(record)
                if static is None:
                    continue
                self._known.add(record.id)
                facts.append(static)
            found.append(row)
        return {
            "type": "tick",
            "at": self._probe.clock.unix(),
            "tasks": found,
            "left": len(self._backlog),
            "static": facts,
        }

    def knows(self, record: TaskRecord) -> bool:
        """Whether the viewer has received a task."""
        return record.id in self._known

    def _label_of(self, record: TaskRecord) -> int:
        """The string that is the label of a task; 0 for none. Bounded: labels are those of groups."""
        if not self._probe.labels.used or record.group is None:
            return 0
        text = self._probe.labels.of(record)
        label = None if text is None else groups.of(record.group, text).label
        return 0 if label is None else self._sampler.tables.string(label)

    def _static_of(self, record: TaskRecord) -> list[Any] | None:
        """The facts of a task; None if it is no more."""
        static: list[Any] | None = reading.read(record, rows.static_of, record, self._sampler.tables, self._probe.clock)
        return static

    def _loop_rows(self) -> list[list[Any]]:
        lag, self._lag = self._lag, {}
        return [loops.row_of(record, loop, lag.get(record.id, 0.0)) for loop, record in self._probe.loops.all()]

    def _blocked(self) -> list[list[Any]]:
        """The protocol.BLOCKED_ROW of each loop that is blocked now."""
        found = []
        for slow in self._probe.watchdog.blocked(self.watch.slow):
            stack, _ = slow.heaviest()
            lines = [self._sampler.tables.site(code, line) for code, line in stack]
            found.append([slow.loop, slow.at_least, rows.microseconds(slow.starved), lines, sites.blamed(list(stack))])
        return found

    def _events(self) -> list[dict[str, Any]]:
        journal = self._probe.journal
        before = self._last_event
        events, self._events_left = journal.first_since(before, MOST_EVENTS)
        threshold = self.watch.slow * 1e6
        self._last_event = events[-1]["seq"] if self._events_left else journal.last_seq
        since = max(before, self._first_event)
        self._missed += max(self._last_event - since, 0) - sum(event["seq"] > since for event in events)
        kinds = self.watch.events
        wanted = []
        for event in events:
            is_wanted = not isinstance(kinds, frozenset) or event["kind"] in kinds
            if not is_wanted or (event["kind"] == "slow_callback" and event["duration"] < threshold):
                self._skipped += 1
                continue
            wanted.append({**event, "skipped": self._skipped} if self._skipped else event)
            self._skipped = 0
        return wanted
