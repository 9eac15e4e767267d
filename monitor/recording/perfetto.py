"""Converts a recording to a trace for ui.perfetto.dev: tracks of tasks and loops, counters, slow callbacks with stacks.

The format is Perfetto's protobuf (TrackEvent); tests read it with the official schema. A slice of a task covers the
time between two ticks, with the number and duration of its steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.protocol.frames import Event, Static, Tick
from monitor.protocol.keyframes import Keyframe
from monitor.recording import packets
from monitor.recording.replay_frames import walk
from monitor.store.model import blamed
from monitor.store.store import Store
from probes.base import protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.protocol.frames import Frame
    from monitor.recording.reader import Recording
    from monitor.store.model import Loop, Site, Task

PROCESS, EVENTS, TASKS = 1, 2, 3
"""Numbers of the fixed tracks; loops, counters and tasks have ranges of their own."""

_LOOP, _LOOP_COUNTER, _COUNTERS, _TASK = 1 << 40, 2 << 40, 3 << 40, 4 << 40
MOST_TEXT = 300


@dataclass(slots=True)
class _Seen:
    """A task on its track: since when it is drawn, and its figures at the last tick."""

    begin: int
    until: int = 0  # end of its last slice: slices of a track must not overlap
    steps: int = 0
    busy: float = 0.0
    scheduled: float = 0.0


def trace(recording: Recording, begin: int | None = None, end: int | None = None) -> Iterator[bytes]:
    """Yield the trace in pieces. Times as in `walk`."""
    made = Trace()
    state, rest = walk(recording, begin, end)
    yield from made.begin(state)
    for frame in rest:
        yield from made.take(frame)
    yield from made.end()


class Trace:
    """Applies frames to a store and encodes what changed as packets."""

    def __init__(self) -> None:
        self._store = Store()
        self._tasks: dict[int, _Seen] = {}
        self._leaving: dict[int, tuple[int, str]] = {}  # their row has ended, their event has not arrived yet
        self._loops: set[int] = set()
        self._last = self._before = 0  # the last complete tick, and the one before (µs)
        self._blocked: dict[int, int] = {}  # end of the last slow callback of each loop
        self._events = packets.Events()

    def begin(self, state: Iterable[Frame]) -> Iterator[bytes]:
        """Yield the tracks and the state at the start."""
        for frame in state:
            self._store.apply(frame)
        store = self._store
        self._last = self._before = round(store.now * 1e6)
        yield packets.first(self._last)
        session = store.session
        program = "" if session is None else session.program
        name = session.name if session is not None and session.name else program
        described = packets.process(0 if session is None else session.pid, program, name)
        yield packets.track(PROCESS, name, described, ordering=packets.EXPLICIT)
        yield packets.track(EVENTS, "exceptions and notices", parent=PROCESS, rank=90)
        yield packets.track(TASKS, "tasks", parent=PROCESS, rank=100, ordering=packets.CHRONOLOGICAL)
        for rank, (title, unit) in enumerate(_PROCESS_COUNTERS):
            yield packets.track(_COUNTERS + rank, title, packets.counter(unit), parent=PROCESS, rank=rank)
        yield from self._find_loops()
        for task in store.tasks.values():
            yield from self._open(task)
        yield from self._count()

    def take(self, frame: Frame) -> Iterator[bytes]:
        """Yield the packets of the next frame."""
        store = self._store
        if isinstance(frame, Event):
            known = frame.kind == "task_ended" and frame.task in store.tasks
            if frame.kind == "task_ended":
                yield from self._ended(frame, known)
            store.apply(frame)
            yield from self._event(frame)
            return
        store.apply(frame)
        match frame:
            case Static():
                yield from self._find_loops()
                for row in frame.tasks:
                    task = store.tasks.get(row.id)
                    if task is not None and task.id not in self._tasks:
                        yield from self._open(task)
            case Tick():
                yield from self._tick(frame)
            case Keyframe():
                yield from self._find_loops()
                now = round(store.now * 1e6)
                for number in [number for number in self._tasks if number not in store.tasks]:
                    yield from self._close(number, now)
                for task in store.tasks.values():
                    if task.id not in self._tasks:
                        yield from self._open(task)
                self._last = self._before = now

    def end(self) -> Iterator[bytes]:
        """Yield the ends of all open slices."""
        now = round(self._store.now * 1e6)
        for number in list(self._tasks):
            yield from self._close(number, now)

    # Loops and counters

    def _find_loops(self) -> Iterator[bytes]:
        for loop in self._store.loops.values():
            if loop.id not in self._loops:
                self._loops.add(loop.id)
                rank = 10 + 10 * len(self._loops)
                title = f"loop {loop.id} {loop.kind} {loop.name}"
                yield packets.track(_LOOP + loop.id, f"{title}: slow callbacks", parent=PROCESS, rank=rank)
                for number, (name, unit) in enumerate(_LOOP_COUNTERS):
                    uuid = _LOOP_COUNTER + 8 * loop.id + number
                    yield packets.track(
                        uuid, f"loop {loop.id} {name}", packets.counter(unit), parent=PROCESS, rank=rank + 1 + number
                    )

    def _count(self) -> Iterator[bytes]:
        store = self._store
        at = round(store.now * 1e6)
        values = (float(len(store.tasks)), store.steps_per_s(), store.process.rss, _percent(store.process.cpu))
        for number, value in enumerate(values):
            if value is not None:
                yield packets.value(at, _COUNTERS + number, value)
        for loop in store.loops.values():
            for number, found in enumerate((loop.lag * 1e9, _percent(_utilization(loop)), loop.ready)):
                if found is not None:
                    yield packets.value(at, _LOOP_COUNTER + 8 * loop.id + number, found)

    def _tick(self, tick: Tick) -> Iterator[bytes]:
        store = self._store
        at = round(store.now * 1e6)
        if tick.loops:
            for number, (when, outcome) in list(self._leaving.items()):
                if number in self._tasks:
                    yield from self._close(number, when, outcome)
            self._leaving.clear()
        for row in tick.tasks:
            task = store.tasks.get(row.id)
            if task is not None:
                # Partial ticks after a complete one belong to the time before it.
                yield from self._steps(task, *((self._last, at) if tick.loops else (self._before, self._last)))
            elif row.id in self._tasks:
                outcome = protocol.STATES[row.state] if 0 <= row.state < len(protocol.STATES) else ""
                self._leaving[row.id] = (at, outcome)
        for number in tick.gone:
            if number in self._tasks:
                yield from self._close(number, at, "collected without having ended")
        if tick.loops:
            yield from self._count()
            self._before, self._last = self._last, at

    # Tasks

    def _open(self, task: Task) -> Iterator[bytes]:
        now = round(self._store.now * 1e6)
        born = now if task.born is None else round(task.born * 1e6)
        busy, scheduled = task.busy, task.scheduled or 0.0
        self._tasks[task.id] = _Seen(born, 0, task.steps, busy, scheduled)
        yield packets.track(_TASK + task.id, f"{_short(task.name)} ({task.id})", parent=TASKS)
        facts: dict[str, object] = {
            "task": task.id,
            "coroutine": task.coro,
            "created at": _line(task.site),
            "parent": task.parent or None,
            "loop": task.loop,
        }
        if task.born is None:
            facts["born"] = "before the probe came"
        if task.steps:
            facts["steps before"] = task.steps
            facts["busy before (ms)"] = busy * 1e3
        yield self._events.packet(packets.BEGIN, born, _TASK + task.id, _short(task.coro), facts)

    def _steps(self, task: Task, begin: int, end: int) -> Iterator[bytes]:
        """Yield the steps of a task between two ticks, as one slice."""
        seen = self._tasks.get(task.id)
        if seen is not None:
            done = (task.steps, task.busy, task.scheduled or 0.0)
            yield from self._did(task.id, seen, begin, end, done, task.state_name)

    def _did(
        self, number: int, seen: _Seen, begin: int, end: int, done: tuple[int, float, float], then: str
    ) -> Iterator[bytes]:
        """Yield one slice. If its time is already taken, the figures go into the next slice."""
        begin = max(begin, seen.until, seen.begin)
        steps, busy, scheduled = done[0] - seen.steps, done[1] - seen.busy, done[2] - seen.scheduled
        if end <= begin or (steps <= 0 and busy <= 0):
            return
        seen.until, (seen.steps, seen.busy, seen.scheduled) = end, done
        facts = {"steps": steps, "busy (ms)": busy * 1e3, "scheduled (ms)": scheduled * 1e3, "then": then}
        yield self._events.packet(packets.BEGIN, begin, _TASK + number, "steps", facts)
        yield packets.end(end, _TASK + number)

    def _ended(self, event: Event, known: bool) -> Iterator[bytes]:
        number = event.task
        if number is None:
            return
        seen = self._tasks.get(number)
        if seen is None and not known:  # it lived between two ticks: only its end is known
            born = event.at - (event.age or 0)
            self._tasks[number] = seen = _Seen(born)
            yield packets.track(_TASK + number, f"{_short(event.name or '')} ({number})", parent=TASKS)
            site = self._store.tables.site(event.site)
            facts: dict[str, object] = {"task": number, "coroutine": event.coro, "created at": _line(site)}
            yield self._events.packet(packets.BEGIN, born, _TASK + number, _short(event.coro), facts)
        if seen is None:
            return
        if event.steps is not None:
            done = (event.steps, (event.busy or 0) * 1e-6, (event.scheduled or 0) * 1e-6)
            yield from self._did(number, seen, self._before, event.at, done, event.outcome)
        failure = None
        if event.exception is not None:
            failure = f"{event.exception.type}: {event.exception.message}"
        yield from self._close(number, event.at, event.outcome, failure)

    def _close(self, number: int, at: int, outcome: str = "", failure: str | None = None) -> Iterator[bytes]:
        seen = self._tasks.pop(number)
        self._leaving.pop(number, None)
        at = max(at, seen.begin, seen.until)
        if outcome:
            facts: dict[str, object] = {"exception": None if failure is None else _short(failure)}
            yield self._events.packet(packets.INSTANT, at, _TASK + number, outcome, facts)
        yield packets.end(at, _TASK + number)

    # Events

    def _event(self, event: Event) -> Iterator[bytes]:
        store = self._store
        if event.kind == "slow_callback":
            stack = store.tables.stack(event.stack)
            line = blamed(stack, event.blame)
            who = _short(event.name or event.callback or "?")
            facts: dict[str, object] = {
                "task": event.task,
                "callback": event.callback,
                "line": _line(line),
                "stack": [_line(site) for site in stack],
            }
            name = f"{who} at {_line(line)}" if line is not None else who
            begin = max(event.at - event.duration, self._blocked.get(event.loop, 0))
            self._blocked[event.loop] = end = max(event.at, begin)
            yield self._events.packet(packets.BEGIN, begin, _LOOP + event.loop, name, facts, stack)
            yield packets.end(end, _LOOP + event.loop)
            if event.task in self._tasks:
                at = max(begin, self._tasks[event.task].begin)
                facts["duration (ms)"] = event.duration * 1e-3
                yield self._events.packet(packets.INSTANT, at, _TASK + event.task, "slow callback", facts, stack)
        elif event.kind == "unhandled":
            text = event.message if event.exception is None else f"{event.message}: {event.exception.type}"
            facts = {"task": event.task, "name": event.name}
            if event.exception is not None:
                facts["exception"] = _short(f"{event.exception.type}: {event.exception.message}")
                facts["traceback"] = [_line(site) for site in store.tables.stack(event.exception.traceback)]
            yield self._events.packet(packets.INSTANT, event.at, EVENTS, _short(text), facts)
        elif event.kind in ("notice", "memory"):
            yield self._events.packet(packets.INSTANT, event.at, EVENTS, _short(event.text), {})


_PROCESS_COUNTERS = (
    ("tasks", packets.COUNT),
    ("steps per second", packets.COUNT),
    ("memory (rss)", packets.BYTES),
    ("CPU %", packets.COUNT),
)
_LOOP_COUNTERS = (("lag", packets.NANOSECONDS), ("utilization %", packets.COUNT), ("ready", packets.COUNT))


def _line(site: Site | None) -> str | None:
    return None if site is None else f"{site.file}:{site.line} {site.function}"


def _short(text: str) -> str:
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + "…"


def _percent(share: float | None) -> float | None:
    return None if share is None else round(share * 100, 3)


def _utilization(loop: Loop) -> float | None:
    return loop.utilizations.values[-1] if loop.utilizations.values else None
