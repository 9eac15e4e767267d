"""`looptop record`: a viewer without a screen that writes every frame to a file."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.errors import Closed, UsageError
from monitor.protocol import frames
from monitor.recording.metadata import about
from monitor.recording.polling import Facts, Waits
from monitor.recording.reconnect import reconnect
from monitor.recording.ring import Ring, folder_of
from monitor.recording.triggers import AFTERWARDS, Triggers
from monitor.recording.writer import File, Recorder
from monitor.store.store import Store
from monitor.transport.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

RATE = 2.0
_LOOK = 0.25


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """The options of a recording: what, where and how long."""

    path: Path
    duration: float | None = None
    rate: float = RATE
    slow: float | None = None  # seconds
    ring: float | None = None  # seconds
    on: Sequence[str] = ()
    flame: int = 0  # samples per second for flame graphs
    steps: bool = False  # every step, with what woke it
    afterwards: float = AFTERWARDS  # seconds after a trigger that still belong to its file


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a running recording."""

    seconds: float
    tasks: int
    ticks: int
    dropped: int
    written: int
    slow: int
    failed: int
    finished: list[tuple[Path, str]]
    pending: str | None  # reason of the file that is about to be finished
    lost: float | None = None  # seconds since the connection broke


@dataclass(slots=True)
class Outcome:
    """The result of a recording. Files finished before its end have been reported by then."""

    path: Path
    ticks: int
    dropped: int
    reason: str
    problem: str | None
    finished: list[tuple[Path, str]] = field(default_factory=list)
    unfinished: int = 0  # files not written because of the limit
    gaps: list[float] = field(default_factory=list)  # seconds of each gap in the connection

    def lines(self) -> list[str]:
        """The result of the recording as lines of text."""
        from monitor import formatting as fmt

        lines = []
        if self.unfinished:
            lines.append(f"{self.unfinished} more times something happened: {len(self.finished)} files are the most")
        where = next((path for path in (self.path, folder_of(self.path)) if path.exists()), None)
        readable = None if where is None else about(where)
        if readable is None or readable.duration is None:
            return [*lines, f"nothing is recorded: {self.problem or self.reason}"]
        facts = f"{fmt.duration(readable.duration)}, {fmt.size(readable.size)}"
        if self.dropped:
            facts += f", {self.dropped} of {self.ticks} ticks dropped"
        if self.gaps:
            facts += f", without {fmt.duration(sum(self.gaps))} in which the connection was lost"
        if self.problem is not None:
            return [*lines, f"{readable.path} ends too early ({self.problem}); what can be read: {facts}"]
        return [*lines, f"{readable.path}: {facts}; {self.reason}"]


def check(options: RecordOptions, named: bool = True) -> None:
    """Raise UsageError if the options do not fit together. Runs before anything is requested from the program."""
    if options.ring is None and options.on:
        raise UsageError("--on is for the flight recorder", "say --ring 10m, too")
    Triggers(options.on, options.ring or 0.0)
    if named and options.path.is_dir():  # of a set, the folder is made
        raise UsageError(f"{options.path} exists", "name another")
    if named and os.path.lexists(options.path):
        raise UsageError(f"{options.path} exists", "name another file, or remove it")
    if named and not options.path.parent.is_dir():
        raise UsageError(f"{options.path} cannot be written", "name a file in a folder that is there")
    if not named and not os.access(".", os.W_OK):
        raise UsageError("this folder cannot be written to", "name a file in another one: -o FILE")


LAST_TICK = 3.0
"""Seconds to wait for the tick at the end of the duration: it belongs to the recording."""


def record(
    connection: Connection,
    options: RecordOptions,
    *,
    stop: threading.Event | None = None,
    notify: Callable[[Progress], None] = lambda _: None,
    file: File | None = None,
    again: Callable[[], Connection] | None = None,
) -> Outcome:
    """Record until the duration is reached, the program ends, a signal arrives, or `stop` is set; then disconnect.

    `notify` is called several times a second; `file` is one that is already open. `again` reopens a broken connection;
    what was missed is a gap in the recording. Raises UsageError if the file cannot be written.
    """
    stop = threading.Event() if stop is None else stop
    gaps: list[float] = []
    with contextlib.ExitStack() as opened:
        opened.enter_context(signals(stop))
        opened.enter_context(contextlib.closing(connection))
        triggers = None if options.ring is None else Triggers(options.on, options.ring, options.afterwards)
        ring = None if options.ring is None else Ring(options.path, options.ring, rate=options.rate)
        sink = ring or file or File(options.path, rate=options.rate)
        store = Store()
        recorder = Recorder(store, sink, segment=None if ring is None else ring.segment, triggers=triggers)
        begin = connection.hello.now * 1e-6

        def report_progress(lost: float | None = None) -> None:
            failed = sum(stats.failed for stats in store.sites.values())
            slow = sum(line.count for line in store.slow.lines.values())
            notify(
                Progress(
                    seconds=max(store.now - begin, 0.0),
                    tasks=len(store.tasks),
                    ticks=recorder.ticks,
                    dropped=recorder.dropped,
                    written=recorder.written,
                    slow=slow,
                    failed=failed,
                    finished=[] if ring is None else list(ring.finished),
                    pending=None if triggers is None else triggers.pending,
                    lost=lost,
                )
            )

        reason, lost = "the recorder was ended", None
        until = None if options.duration is None else time.monotonic() + options.duration
        try:
            while True:
                try:
                    reason = _listen(connection, options, store, recorder, stop, until, triggers, report_progress)
                    break
                except Closed as broke:
                    back = reconnect(connection, broke, again, stop, until, report_progress)
                if isinstance(back, str):
                    reason, lost = back, 0.0
                    break
                gaps.append(back.seconds)
                connection = opened.enter_context(contextlib.closing(back.connection))
        finally:
            recorder.close(reason)
        report_progress(lost)
    return Outcome(
        path=options.path,
        ticks=recorder.ticks,
        dropped=recorder.dropped,
        reason=recorder.ended or reason,
        problem=recorder.problem,
        finished=[] if ring is None else ring.finished,
        unfinished=0 if ring is None else ring.unfinished,
        gaps=gaps,
    )


THREADS_EVERY = 5
"""Seconds between two looks at the threads in a recording."""


def _listen(
    connection: Connection,
    options: RecordOptions,
    store: Store,
    recorder: Recorder,
    stop: threading.Event,
    until: float | None,
    triggers: Triggers | None,
    report_progress: Callable[[], None],
) -> str:
    """Record, and return why it ended. Raises Closed."""
    facts, waits = Facts(), Waits()
    last_tick = min(1.0 / options.rate + _LOOK, LAST_TICK)
    _feed(store, recorder, connection.hello)
    watch: dict[str, object] = {"type": "watch", "rate": options.rate, "rows": True, "events": True, "findings": True}
    watch["history"] = True
    watch["threads"] = THREADS_EVERY
    watch["groups"] = watch["groups_by_site"] = connection.hello.hooks == "C"  # those in Python make programs pay
    slow = min((s for s in (options.slow, triggers.slow if triggers else None) if s is not None), default=None)
    if slow is not None:
        watch["slow"] = max(round(slow * 1e6), 10_000)
    if options.flame:
        watch |= {"flame": options.flame, "flame_wait": True, "flame_jobs": True, "flame_tasks": True}
    if options.steps:
        watch["steps"] = "now"
    connection.send(watch)
    whole = False
    while recorder.running:
        report_progress()
        if stop.is_set():
            return "stopped"
        left = None if until is None else until - time.monotonic()
        if left is not None and (left <= -last_tick or (left <= 0 and whole)):
            return "duration reached"
        whole = False
        wait = _LOOK if left is None else min(_LOOK, left if left > 0 else left + last_tick)
        for frame in connection.receive(wait):
            thin = facts.drop_known_facts(frame)
            if thin is not None:
                _feed(store, recorder, thin)
            whole = whole or (isinstance(frame, frames.Tick) and bool(frame.loops))
        if whole:
            facts.forget(store)
            back, window = waits.poll(store)
            if back is not None:
                _feed(store, recorder, back)
            if window is not None:
                connection.send({"type": "watch", "window": window})
    return "the disk did not accept more data"


def default_path(name: str, program: str, now: float) -> str:
    """Return a file name for a recording without one: `api-20261121-140322.looptop`."""
    words = program.split()
    # The words are a command line, not a path.
    base = name or (os.path.basename(words[0]).removesuffix(".py") if words else "")  # noqa: PTH119
    base = re.sub(r"[^\w.-]+", "-", base).strip(".-")[:60] or "recording"
    return f"{base}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}.looptop"


def _feed(store: Store, recorder: Recorder, frame: frames.Frame) -> None:
    store.apply(frame)
    recorder.take(frame)


@contextlib.contextmanager
def signals(stop: threading.Event) -> Iterator[None]:
    """Set `stop` at SIGINT, SIGTERM and SIGHUP. Outside the main thread, change no handlers."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before[number] = signal.signal(number, lambda *_: stop.set())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
