"""Records all processes of a set, each into its own file of a folder, including those that join later."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from monitor.errors import LooptopError, UsageError
from monitor.recording.of_set import free_name
from monitor.recording.record import record, signals

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from monitor.fleet.members import Member, Members
    from monitor.recording.record import Outcome, Progress, RecordOptions
    from monitor.transport.connection import Connection

LOOK = 0.5
"""Seconds between two searches for processes that have come or gone."""
EMPTY = 3.0
"""Seconds without any process after which the set counts as ended."""
FIRST = 15.0
"""Seconds to wait for the first process."""
PATIENCE = 15.0
"""Seconds in which the files are finished; a process that hangs does not hold up the others."""


@dataclass(slots=True)
class Recorded:
    """The recording of one process: its progress and its result."""

    member: Member
    path: Path
    progress: Progress | None = None
    outcome: Outcome | None = None
    problem: LooptopError | None = None
    pid: int | None = None
    thread: threading.Thread | None = field(default=None, repr=False)


class SetRecorder:
    """Records a set until the duration is reached, no process is left, a signal arrives, or `stop` is set."""

    def __init__(self, members: Members, connect: Callable[[str], Connection], options: RecordOptions) -> None:
        """`options.path` is the folder."""
        self.recorded: list[Recorded] = []
        self.stop = threading.Event()
        self._members = members
        self._connect = connect
        self._options = options
        self._running: dict[int, Recorded] = {}  # by slot
        self._until: float | None = None

    @property
    def joined(self) -> list[Recorded]:
        """The processes that have answered."""
        return [one for one in self.recorded if one.progress is not None]

    def run(self, notify: Callable[[], None] = lambda: None) -> str:
        """Record, and return why it ended. `notify` is called several times a second. Raises UsageError."""
        try:
            self._options.path.mkdir(mode=0o700)
        except OSError as error:
            raise UsageError(f"{self._options.path} cannot be made", error.strerror or str(error)) from None
        with signals(self.stop):
            try:
                return self._follow(notify)
            finally:
                self.stop.set()
                until = time.monotonic() + PATIENCE
                for one in self.recorded:
                    if one.thread is not None:
                        one.thread.join(max(until - time.monotonic(), 0.0))

    def _follow(self, notify: Callable[[], None]) -> str:
        began = seen = time.monotonic()
        duration = self._options.duration
        due = 0.0
        while not self.stop.wait(0.1):
            now = time.monotonic()
            if now >= due:
                due = now + LOOK
                there = self._members.scan()
                self._look(there)
                seen = now if there else seen
            if self._until is None and duration is not None and self.joined:
                self._until = now + duration
            if self._until is not None and now >= self._until:
                return "duration reached"
            if now - seen >= EMPTY:
                return "no process is left"
            if not self.joined and now - began >= FIRST and all(one.problem for one in self.recorded):
                return "no process answered"
            notify()
        return "stopped"

    def _look(self, there: list[Member]) -> None:
        """Start recording new processes. The recordings of those that have gone end by themselves."""
        for member in there:
            known = self._running.get(member.worker)
            if known is None or known.member.target != member.target:
                one = Recorded(member, free_name(self._options.path, member.worker, member.pid))
                one.thread = threading.Thread(
                    target=self._record, args=(one,), name=f"looptop-record-{member.worker}", daemon=True
                )
                self._running[member.worker] = one
                self.recorded.append(one)
                one.thread.start()

    def _record(self, one: Recorded) -> None:
        target = one.member.target

        def note(progress: Progress) -> None:
            one.progress = progress

        try:
            connection = self._connect(target)
            hello = connection.hello
            one.pid = hello.pid
            if self._options.steps and "steps" not in hello.capabilities:
                connection.close()
                raise UsageError(f"steps of {target} are not recorded", f"its hooks are {hello.hooks}; needs C")
            own = replace(self._options, path=one.path, duration=None)
            one.outcome = record(connection, own, stop=self.stop, notify=note, again=lambda: self._connect(target))
        except LooptopError as error:
            one.problem = error
