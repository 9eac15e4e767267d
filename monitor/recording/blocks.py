"""Collects the frames of a program into blocks, each with the keyframe of the store that it begins with.

The recorder applies each frame to its store first, so the store mirrors the live program: nothing is kept twice, a
keyframe is exact by construction, and dropping a block loses its ticks only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from monitor import formatting as fmt
from monitor.protocol import frames, keyframes
from monitor.recording.block_codec import BEFORE, LightBlock, LightTick
from monitor.recording.file_format import Marker, Summary
from monitor.recording.triggers import unhandled
from monitor.store.store import Store
from monitor.store.task_names import who
from probes.base import protocol

LONGEST = 10.0
"""Longest block in seconds. The first ones are shorter, so that a program killed early leaves something, too."""

MOST_ROWS = 20_000
"""Rows after which a block ends early, to keep seeking fast (not for programs with more than 5,000 tasks)."""

STEP_BYTES = 200
"""Bytes of step events that count as one row: ten steps."""
MOST_OBJECTS = 2000
"""Most names of objects that each block begins with."""

MOST_MARKERS = 20
"""Limit of markers of one kind per block; the first ones are kept."""

MOST_CARRIED = 2000
MOST_PAST = 200
"""Series of history that are recorded: two for each loop."""
BURST = 100.0
"""Births per second from which on a tick is a burst, if they are also four times the usual rate."""


@dataclass(slots=True)
class Block:
    """One block while it is collected, until it is written."""

    keyframe: keyframes.Keyframe
    number: int
    begins_segment: bool
    jump: bool
    dropped: int
    recorded: list[frames.Frame] = field(default_factory=list)
    ticks: list[LightTick] = field(default_factory=list)
    notes: list[tuple[int, frames.Event]] = field(default_factory=list)
    ends: list[tuple[int, frames.Event]] = field(default_factory=list)
    past: list[tuple[int, frames.HistoryRows]] = field(default_factory=list)
    markers: list[Marker] = field(default_factory=list)
    rows: int = 0
    end: int = 0
    finish: str | None = None  # reason to finish a file after this block (flight recorder)

    def light(self) -> LightBlock:
        """The decoded part without rows: counters, events and history."""
        return LightBlock(ticks=self.ticks, notes=self.notes, past=self.past)

    def summary(self) -> Summary:
        """The decoded summary: times, largest lag and counts of the block."""
        kinds = [event.kind for _, event in self.notes]
        return Summary(
            start=self.keyframe.at,
            end=max(self.end, self.keyframe.at),
            ticks=sum(tick.place >= 0 for tick in self.ticks),
            slow=kinds.count("slow_callback"),
            unhandled=kinds.count("unhandled"),
            notices=kinds.count("notice") + kinds.count("memory"),
            ended=len(self.ends),
            failed=sum(event.outcome == "failed" for _, event in self.ends),
            dropped=self.dropped,
            jump=self.jump,
            markers=self.markers,
        )


class Collector:
    """Collects each frame after the store has applied it, and reports when a block is complete."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lag_totals: dict[int, tuple[int, int]] = {}
        self._births: dict[int, int] = {number: stats.born for number, stats in store.sites.items()}
        self._usual: float | None = None
        self._last_tick: int | None = None
        self._numbers = 0
        self._places: list[int] = []  # names that step events refer to; each block begins with all of them
        self._past: dict[tuple[int, int], int] = {}  # by loop and step: the end of the newest recorded row
        self._objects: dict[int, int] = {}  # names of the objects that tasks wait on, the newest MOST_OBJECTS
        self.block: Block | None = None
        self._note_series()

    def begin(self, *, segment: bool = False, jump: bool = False, dropped: int = 0) -> None:
        """Begin a block with a keyframe of the store.

        `segment`: it is the first of a file and gets the store's history.
        """
        keyframe = self._store.keyframe(history=segment)
        self.block = Block(keyframe, self._numbers, segment, jump, dropped, end=keyframe.at)
        if self._places:
            places = frames.Places(0, list(self._places))
            objects = list(self._objects.items())
            self.block.recorded.append(frames.Steps(offset=0, from_=0, to=0, places=places, objects=objects))
        self._numbers += 1
        for rows in keyframe.history.past:
            self._past[rows.loop, rows.step] = rows.end
        if jump:
            for rows in self._store.past.as_rows():
                self._add_past(self.block, rows)  # what came while there was no block
        self._note_series()

    def carry(self, dropped: Block) -> None:
        """Move the events and figures of a dropped block into the one that has just begun."""
        block = self.block
        assert block is not None
        block.ticks[:0] = [
            LightTick(BEFORE, t.at, t.steps_per_s, t.tasks, t.rss, t.births, t.loops) for t in dropped.ticks
        ][-MOST_CARRIED:]
        block.notes[:0] = [(BEFORE, event) for _, event in dropped.notes][-MOST_CARRIED:]
        block.ends[:0] = [(BEFORE, event) for _, event in dropped.ends][-MOST_CARRIED:]
        block.past[:0] = [(BEFORE, rows) for _, rows in dropped.past][-MOST_CARRIED:]
        block.markers[:0] = dropped.markers[: 3 * MOST_MARKERS]

    def add_missed(self, events: list[frames.Event]) -> None:
        """Add events from before this block, when nothing could be recorded."""
        block = self.block
        assert block is not None
        for event in events[-MOST_CARRIED:]:
            self._add_event(block, event, BEFORE)

    def add(self, frame: frames.Frame) -> bool:
        """Add a frame. True if the block should end here."""
        block = self.block
        if block is None:
            return False
        match frame:
            case frames.Tick():
                block.rows += len(frame.tasks) + len(frame.gone) + len(frame.sites)
                if frame.loops:
                    self._add_figures(block, frame)
                block.recorded.append(frame)
            case frames.Event():
                block.rows += 1
                self._add_event(block, frame)
            case frames.Steps():
                if frame.places is not None:
                    del self._places[max(frame.places.from_, 0) :]
                    self._places += frame.places.items
                for number, name in frame.objects:
                    self._objects.pop(number, None)
                    self._objects[number] = name
                    if len(self._objects) > MOST_OBJECTS:
                        del self._objects[next(iter(self._objects))]
                block.rows += len(frame.events) // STEP_BYTES
                block.recorded.append(frame)
            case frames.HistoryRows():
                self._add_past(block, frame)
                return False
            case frames.Static() | frames.Reply():
                if isinstance(frame, frames.Reply) and not _is_kept(frame):
                    return False
                block.recorded.append(frame)
                return False
            case _:
                return False
        block.end = max(block.end, round(self._store.now * 1e6))
        most = max(MOST_ROWS, 4 * len(self._store.tasks))
        length = min(LONGEST, 2.0 ** min(block.number, 10))
        return bool(frame) and ((block.end - block.keyframe.at) * 1e-6 >= length or block.rows >= most)

    def _note_series(self) -> None:
        for loop in self._store.loops.values():
            self._lag_totals[loop.id] = (loop.lags.total, loop.utilizations.total)

    def _add_past(self, block: Block, rows: frames.HistoryRows) -> None:
        """Adds the rows that are newer than those recorded: a probe sends all of them again to a new connection."""
        newest = self._past.get((rows.loop, rows.step))
        fresh = rows if newest is None else rows.since(newest)
        if fresh is not None and (len(self._past) < MOST_PAST or newest is not None):
            self._past[rows.loop, rows.step] = fresh.end
            block.past.append((len(block.recorded), fresh))

    def _add_figures(self, block: Block, tick: frames.Tick) -> None:
        store = self._store
        loops: list[tuple[int, float, float | None]] = []
        for loop in store.loops.values():
            lags, utilizations = self._lag_totals.get(loop.id, (0, 0))
            self._lag_totals[loop.id] = (loop.lags.total, loop.utilizations.total)
            if loop.lags.total > lags:
                fresh = loop.utilizations.total > utilizations
                loops.append((loop.id, loop.lags.values[-1], loop.utilizations.values[-1] if fresh else None))
        births = self._count_births(block, tick)
        block.ticks.append(
            LightTick(
                len(block.recorded),
                round(store.now * 1e6),
                store.steps.values[-1],
                store.task_counts.values[-1],
                store.process.rss,
                births,
                loops,
            )
        )

    def _count_births(self, block: Block, tick: frames.Tick) -> int:
        births = 0
        for row in tick.sites:
            births += max(row.born - self._births.get(row.site, 0), 0)
            self._births[row.site] = row.born
        now, before = round(self._store.now * 1e6), self._last_tick
        self._last_tick = now
        if before is None or now <= before:
            return births
        rate = births / ((now - before) * 1e-6)
        usual, self._usual = self._usual, rate if self._usual is None else self._usual * 0.9 + rate * 0.1
        if usual is not None and rate > BURST and rate > 4 * usual:
            self._mark(block, "burst", f"{births} tasks were born at once")
        return births

    def _add_event(self, block: Block, event: frames.Event, at: int | None = None) -> None:
        place = (len(block.recorded) if at is None else at, event)
        name = (who(event.task, event.name, event.callback or event.coro, event.label) or "?")[:100]
        if event.kind == "task_ended":
            block.ends.append(place)
            if event.outcome == "failed":
                why = event.exception.type if event.exception else "an exception"
                self._mark(block, "failed", f"{name} failed: {why}"[:200])
            return
        block.notes.append(place)
        if event.kind == "slow_callback":
            self._mark(block, "slow", f"{name} blocked for {fmt.duration(event.duration * 1e-6)}")
        elif event.kind == "unhandled":
            self._mark(block, "failed", unhandled(event)[:200])
        elif event.kind == "memory":
            self._mark(block, "memory", event.text[:200])

    def _mark(self, block: Block, kind: str, text: str) -> None:
        if sum(marker.kind == kind for marker in block.markers) < MOST_MARKERS:
            block.markers.append(Marker(round(self._store.now * 1e6), kind, text))


def _is_kept(reply: frames.Reply) -> bool:
    """Whether a reply contains anything that a screen shows."""
    return bool(reply.details or reply.memory or reply.tracing or reply.objects or reply.profiles is not None)


def facts(keyframe: keyframes.Keyframe, rate: float | None) -> dict[str, object]:
    """Return the facts for the heading of a file."""
    hello = keyframe.hello
    return {
        "protocol": protocol.PROTOCOL,
        "session": hello.session,
        "name": hello.name,
        "program": hello.program[:10_000],
        "pid": hello.pid,
        "host": hello.host,
        "python": hello.python,
        "probe": hello.probe,
        "start": keyframe.at,
        "rate": rate,
        "schema": protocol.SCHEMA,
    }
