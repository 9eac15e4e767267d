"""Runs one sample under the probe, observes it as long as its expectations require, and stops it with SIGINT."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from threading import Event
from typing import TYPE_CHECKING, Any, BinaryIO

from monitor.attach.find import probes
from monitor.attach.launch import Launch, Settings, describe_status
from monitor.errors import Closed, ConnectError, LooptopError
from monitor.protocol import frames
from monitor.samples.findings import finder
from monitor.samples.observation import Observation
from monitor.store.store import Store
from monitor.trace.collect import Trace
from monitor.transport.address import Address
from monitor.transport.connection import Connection, connect
from sample_apps.vocabulary import Group, LateBecause, MemoryGrowth, SlowBecause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sample_apps.catalogue import Sample

RATE = 10
"""Ticks per second: at lower rates half a dozen tasks start and end between two snapshots."""

EVERY = (0.4, 0.6)
"""Bounds of the seconds between snapshots of all waits, which vary so that no periodic state is always missed."""

GOLDEN = 0.618034
"""Multiples of it, modulo 1, are evenly distributed and never repeat."""

MOST_LOOKED_AT = 2000
"""Tasks in one snapshot."""

START = 30.0
"""Seconds for a sample to start, on a busy machine."""

PROMPT = 10.0
"""Seconds from SIGINT to the end; the longest step of a sample is much shorter."""

WARM = 0.7
"""Seconds before the memory baseline: allocations during start-up are not growth."""

ORPHANED = 120
"""Seconds after which a sample ends by itself, beyond the time it is observed, if nobody stops it."""


def argv_of(sample: Sample, *arguments: str) -> tuple[str, ...]:
    """The command line of a sample with looptop's own interpreter; `-P` ignores a package of that name in the working
    directory.
    """
    return (sys.executable, "-P", "-m", f"sample_apps.{sample.name}", *arguments)


def observe(
    sample: Sample, argv: Sequence[str] = (), seconds: float | None = None, stop: Event | None = None
) -> Observation:
    """Observe one run for `sample.watch` seconds unless given, or until `stop` is set.

    Failures of the sample are not raised but described in `trouble`.
    """
    seconds = seconds or sample.watch
    launch = Launch(
        tuple(argv) or argv_of(sample, "--seconds", f"{seconds + ORPHANED:g}"),
        Settings(name=sample.name, expect=START, announce=False),
    )
    seen = Observation()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603 - looptop's own sample
            launch.argv,
            env=launch.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,  # Ctrl-C goes to looptop only, which then stops the samples
        )
        try:
            connection = _wait(process)
            with closing(connection):
                _watch(connection, sample, seconds, seen, stop or Event())
        except LooptopError as error:
            seen.trouble = str(error)
        finally:
            ended = _end(process)
        if ended is not None or process.returncode:
            seen.trouble = f"{ended or describe_status(process.returncode)}; {_last_line(errors)}"
    return seen


def _wait(process: subprocess.Popen[bytes]) -> Connection:
    until = time.monotonic() + START
    while True:
        announced = probes().of_pid(process.pid)
        try:
            if announced is not None:
                return connect(Address(path=announced.socket, pid=process.pid))
        except ConnectError:
            if process.poll() is None and time.monotonic() > until:
                raise
        if process.poll() is not None:
            raise LooptopError("it ended before it could be watched", describe_status(process.returncode))
        if time.monotonic() > until:
            raise ConnectError("no probe came", f"waited for {START:g} s")
        time.sleep(0.02)


class _Watcher:
    """One connection, its store, and when to make the next requests."""

    def __init__(self, connection: Connection, seen: Observation) -> None:
        self.connection = connection
        self.seen = seen
        self.store = Store()
        self.store.apply(connection.hello)
        self._finder = finder()
        self._number = 0
        if self._finder is not None:
            seen.findings = []

    def receive(self, seconds: float) -> list[frames.Frame]:
        """Receive frames for up to that many seconds."""
        came = self.connection.receive(max(seconds, 0.0))
        for frame in came:
            self.store.apply(frame)
            if self.seen.trace is not None:
                self.seen.trace.take(frame)
            if isinstance(frame, frames.Tick) and frame.loops:
                self.seen.take(self.store)
                self.seen.take_events(self.store)
                if self._finder is not None and self.seen.findings is not None:
                    self.seen.findings += [
                        found for found in self._finder(self.store) if found not in self.seen.findings
                    ]
        self.seen.take_events(self.store)
        return came

    def until(self, when: float) -> None:
        """Receive frames until that time."""
        while (left := when - time.monotonic()) > 0:
            self.receive(left)

    def ask(self, op: str, **arguments: Any) -> None:
        """Send a request and receive frames until its reply is complete."""
        self._number += 1
        self.connection.send({"type": "request", "id": self._number, "op": op, **arguments})
        until = time.monotonic() + START
        while (left := until - time.monotonic()) > 0:
            for frame in self.receive(left):
                if isinstance(frame, frames.Reply) and frame.id == self._number and not frame.more:
                    if not frame.ok:
                        raise LooptopError(f"{op} is refused", frame.error)
                    return
        raise LooptopError(f"{op} is not answered", f"waited for {START:g} s")

    def poll(self) -> None:
        """Take a snapshot of what every task waits for."""
        ids = sorted(self.store.tasks)[:MOST_LOOKED_AT]
        self.store.details.clear()
        if ids:
            self.ask("tasks", ids=ids)
        self.seen.take(self.store)
        self.seen.snapshot(self.store)


def _watch(connection: Connection, sample: Sample, seconds: float, seen: Observation, stop: Event) -> None:
    watcher = _Watcher(connection, seen)
    trace = any(isinstance(expectation, MemoryGrowth) for expectation in sample.expectations)
    watch = {"type": "watch", "rate": RATE, "rows": True, "events": True, "findings": True, "memory": trace}
    watch["history"] = True
    watch["groups"] = any(isinstance(expectation, Group) for expectation in sample.expectations)
    if any(isinstance(expectation, (LateBecause, SlowBecause)) for expectation in sample.expectations):
        watch["steps"] = "now"  # collections are known while steps are traced
        seen.trace = Trace(watcher.store)
    connection.send(watch)
    try:
        while not seen.first and not stop.is_set():  # until a loop runs: before that, Python is starting
            watcher.receive(0.5)
        begin = time.monotonic()
        end, next_look, baseline = begin + seconds, begin + EVERY[0] / 2, begin + WARM if trace else None
        shortest, longest = EVERY
        while (now := time.monotonic()) < end and not stop.is_set():
            if now >= next_look:
                watcher.poll()
                next_look += shortest + (longest - shortest) * (len(seen.snapshots) * GOLDEN % 1)
            elif baseline is not None and now >= baseline:
                baseline = None
                watcher.ask("memory_start", frames=1, duration=round((seconds + ORPHANED) * 1e6))
                watcher.ask("memory_baseline")
            else:
                watcher.until(min(next_look, end, baseline or end))
        seen.groups = watcher.store.label_groups
        if trace:
            watcher.ask("memory_look", group="lineno", limit=500, hide=["probe"])
            memory = watcher.store.memory
            seen.memory = memory.snapshot
            if memory.snapshot is not None and memory.baseline is not None:
                seen.memory_seconds = memory.snapshot.at - memory.baseline.at
    except Closed:
        return  # it has ended by itself; its status says how


def _end(process: subprocess.Popen[bytes]) -> str | None:
    """Stop it as a user would; returns what was wrong with how it ended."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(PROMPT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return f"it did not end within {PROMPT:g} s of SIGINT"
    except BaseException:
        process.kill()
        process.wait()
        raise
    return None


def _last_line(errors: BinaryIO) -> str:
    errors.seek(0)
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else "it wrote nothing on stderr"
