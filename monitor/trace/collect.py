"""Builds a timeline with names from the frames of a probe or a recording, for `looptop why` and `looptop trace`."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from monitor.protocol.frames import Event, Static, Steps, Tick
from monitor.store.model import blamed
from monitor.store.store import Store
from monitor.trace.events import Kind
from monitor.trace.timeline import MOST_EVENTS, Blocked, Run, Timeline
from monitor.trace.waiting import WaitedOn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from monitor.protocol.frames import Frame
    from monitor.store.model import Site, Task

MOST_COUNTERS = 200_000
TOLERANCE = 1_000_000
"""Nanoseconds by which the start of a step may differ between a tick and the ring."""


class Trace:
    """A timeline that grows with frames. Names and slow callbacks come from the other frames of the stream."""

    def __init__(self, store: Store | None = None, most: int = MOST_EVENTS) -> None:
        """`store`: a store that the caller feeds with the same frames; by default the trace feeds its own."""
        self.store = Store() if store is None else store
        self._feeds = store is None
        self._places: list[int] = [0]
        self.timeline = Timeline(self._place, most)
        self.counters: list[tuple[int, int, float, float | None]] = []
        """Time (µs), loop, lag (s) and utilization, once per tick."""
        self.pieces = 0
        self.is_whole = False
        """Whether all that the probe remembered has come: of the past the oldest comes first."""
        self._ticks = 0
        self.window: list[int] = []
        """The live tasks of which the probe was asked to read what they wait on."""
        self._read: dict[int, int] = {}  # by task, when that was read (µs)

    def _place(self, number: int) -> Site | None:
        places = self._places
        return self.store.tables.site(places[number]) if 0 < number < len(places) else None

    def take(self, frame: Frame) -> None:
        """Apply the next frame."""
        if self._feeds:
            self.store.apply(frame)
        match frame:
            case Steps():
                self._steps(frame)
            case Event():
                self._event(frame)
            case Static():
                for row in frame.tasks:
                    self._name(row.id, row.name, self.store.tables.string(row.coro), None)
            case Tick():
                if frame.probe is not None:
                    self._ticks += 1
                    self.is_whole = self.is_whole or (self._ticks > 1 and not self.pieces)  # nothing was remembered
                self._note_reads(frame)
                for task in frame.tasks:  # many that end are not listed with their labels
                    if task.label:
                        self.timeline.life(task.id & 0xFFFFFFFF).label = self.store.tables.string(task.label)
                if frame.loops and len(self.counters) < MOST_COUNTERS:
                    for loop in self.store.loops.values():
                        utilization = loop.utilizations.values[-1] if loop.utilizations.values else None
                        self.counters.append((frame.at, loop.id, loop.lag, utilization))

    def _note_reads(self, frame: Tick) -> None:
        """Note of which tasks is known what they wait on: a row comes only if it has changed."""
        tasks = self.store.tasks
        for number in self.window:
            task = tasks.get(number)
            if task is not None and task.wait_kind is not None:
                self._read[number] = frame.at
        for row in frame.waits:
            self._read[row.id] = frame.at

    def is_read(self, task: int, since: int) -> bool:
        """Whether what a live task waits on was read after it began to wait (ns).

        Always so in a recording, which has withdrawn what was out of date.
        """
        return not self.window or self._read.get(task, 0) * 1000 >= since

    def to_read(self, most: int, belongs: Callable[[Task], bool] | None = None) -> list[int]:
        """Return the ids of at most so many live tasks for the next window: first those of which it is not known what
        they wait on, of each group in turn, those that have rested longest first.
        """
        unread: dict[tuple[str, str | None], list[tuple[int, int]]] = {}
        known: list[int] = []
        for task in self.store.tasks.values():
            if belongs is not None and not belongs(task):
                continue
            life = self.timeline.lives.get(task.id & 0xFFFFFFFF)
            last = life.steps[-1].end if life is not None and life.steps else 0
            if task.id in self._read and self._read[task.id] * 1000 >= last:
                known.append(task.id)
            else:
                unread.setdefault((task.coro, task.label), []).append((last, task.id))
        turns = zip_longest(*(sorted(group) for group in unread.values()))
        chosen = [entry[1] for turn in turns for entry in turn if entry is not None][:most]
        return chosen + known[: most - len(chosen)]

    def _steps(self, frame: Steps) -> None:
        self.pieces += 1
        self.is_whole = self.is_whole or frame.left == 0
        places = frame.places
        if places is not None:
            if places.from_ == 0:  # the first piece, or the ring was emptied
                self._places = [0]
            del self._places[max(places.from_, 0) :]
            self._places += places.items
        for number, name in frame.objects:
            self.timeline.objects[number] = self.store.tables.string(name)
        self.timeline.objects.update(frame.names)
        self.timeline.feed(frame.events, frame.offset * 1000, frame.lost)

    def _name(self, task: int, name: str, coro: str, label: str | None) -> None:
        life = self.timeline.life(task & 0xFFFFFFFF)
        life.name, life.coro, life.label = name, coro or life.coro, label or life.label

    def _event(self, event: Event) -> None:
        if event.task is not None and event.kind == "task_ended":
            self._name(event.task, event.name or "", event.coro, event.label)
        elif event.kind == "slow_callback":
            stack = self.store.tables.stack(event.stack)
            line = blamed(stack, event.blame)
            start = (event.at - event.duration) * 1000
            self.timeline.blocked.append(Blocked(event.loop, event.task or 0, start, event.at * 1000, line, stack))

    def name_live_tasks(self) -> None:
        """Copy the names of live tasks from the store, for tasks older than the trace."""
        for task in self.store.tasks.values():
            self._name(task.id, task.name, task.coro, task.label)
        for ended in self.store.ended:
            self._name(ended.id, ended.name, ended.coro, ended.label)

    def complete(self) -> None:
        """Take from the store what the steps do not say: the names of live tasks, and what runs now."""
        self.name_live_tasks()
        self.add_running()

    def add_running(self) -> None:
        """Add the steps and callbacks that block a loop now, as of the last tick, to the timeline."""
        store, timeline, found = self.store, self.timeline, []
        timeline.set_running([])
        for loop in store.loops.values():
            if loop.block is None:
                continue
            start = store.now_us * 1000 - round(loop.blocked * 1e9)
            if timeline.running_at(loop.id, start + TOLERANCE) is not None:
                continue  # it has ended since
            task = (loop.running or 0) & 0xFFFFFFFF
            waits = timeline.life(task).waits if task else []
            steps = timeline.life(task).steps if task else []
            ready = waits[-1].at if waits and (not steps or waits[-1].at > steps[-1].end) else None
            ready = None if ready is None else min(ready, start)
            end, kind = max(store.now_us * 1000, timeline.end), Kind.STEP_OUTSIDE if task else Kind.CALL_SOON
            line = loop.block.line
            found.append(Run(loop.id, task, ready, start, end, kind, 0, line, True, loop.block.at_least))
        timeline.set_running(found)

    def waits_now(self, task: int) -> tuple[WaitedOn | None, Site | None]:
        """Return what a live task waits on and at which line, as far as the store knows."""
        live = self.store.tasks.get(task)
        if live is None:
            return None, None
        return None if live.wait_kind is None else WaitedOn(live.wait_kind, live.wait_text or ""), live.at

    def born(self, task: int) -> int | None:
        """Return when a live or ended task was born (ns), as far as the store knows."""
        live = self.store.tasks.get(task)
        if live is not None:
            return None if live.born is None else round(live.born * 1e6) * 1000
        for ended in self.store.ended:
            if ended.id == task and ended.age is not None:
                return round((ended.ended - ended.age) * 1e6) * 1000
        return None


def of_recording(path: Path) -> Trace:
    """Return the trace of a recording. It has no pieces unless the recording was made with `--steps`."""
    from monitor.recording.reader import Recording
    from monitor.recording.replay_frames import walk

    trace = Trace()
    with Recording(path) as recording:
        state, rest = walk(recording, None, None)
        for frame in (*state, *rest):
            trace.take(frame)
    trace.is_whole = True
    return trace
