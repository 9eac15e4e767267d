"""Writes the black box: frames as for a viewer, one tick per second, into the ring of a file.

Each segment of the ring begins like a connection, with `hello` and all tasks, so that it can be read without the
earlier ones. Used by the probe's thread only.
"""

from __future__ import annotations

import os
import sys
from math import inf
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from ..base import process, protocol
from ..base.id_bitset import Ids
from ..base.settings import Settings, text_of, warn
from ..base.turns import turns
from ..history.recorder import COARSE, ROWS
from ..serving import discovery, hello
from ..serving.session import Session
from ..serving.thread_looks import ThreadLooks
from . import old_boxes
from .box_setting import BoxSetting
from .orderly_end import OrderlyEnd
from .ring import LostError, Ring, SegmentFullError
from .steps import StepCopy

if TYPE_CHECKING:
    from ..sampling.sampler import Changes
    from ..serving.host import Host

EVERY = 1.0
"""Seconds between two ticks."""
TASK_BYTES = 100
"""Upper estimate of a task's compressed bytes in the first ticks of a segment; limits the number of tasks."""
THREAD_BYTES = 300
"""Upper estimate of the compressed bytes of a thread, of which a look may have so many that it takes a quarter of a
segment."""
FIGURE_BYTES = 3
"""Upper estimate of the compressed bytes of a figure of the history, which may take a quarter of a segment."""
MOST_WAITS = 60
"""Tasks per tick whose waits are read, in turn."""
AT_ONCE = 0.001
"""Seconds of writing before other work of the thread gets a turn."""
MOST_LOOKED_AT = 1000
"""Limit of tasks examined for that."""
PART = 20
"""How many places of the table of tasks are read at once."""
IDLE = 5.0
REREAD = 30.0
MOST_REREAD = 1000
"""Seconds after which all waits are read again, of at most so many tasks: what is waited for may change its state."""


class Box:
    """The black box of a probe. After a failure it is closed, with one line on stderr."""

    def __init__(self, probe: Host) -> None:
        self._probe = probe
        self._ring: Ring | None = None
        self._session: Session | None = None
        self._place = 0  # in the table of tasks: up to there their turn has been
        self._read = Ids()  # tasks whose waits are in this segment and have not changed since
        self._unread = True  # there may be others
        self._happened = 0.0  # when something last did, in seconds of the monotonic clock
        self._reread_due = 0.0
        self._due = 0.0
        self._steps = StepCopy(probe.ring)
        self._threads = ThreadLooks()
        self._orderly_end = OrderlyEnd(probe.exit)
        self.how = ""
        """How the program ends, if in order."""

    @property
    def on(self) -> bool:
        """Whether a box is being written."""
        return self._ring is not None

    def is_idle(self, now: float) -> bool:
        """Whether no task has run for a while."""
        return now - self._happened > IDLE

    @property
    def hz(self) -> int:
        """Samples per second that it wants for a flame graph."""
        return self._probe.settings.box_flame if self.on else 0

    def is_asked_for(self) -> bool:
        """Whether the settings ask for a box, rather than leave it to the defaults."""
        settings, usual = self._probe.settings, Settings()
        asked = settings.box != usual.box or settings.keep_box or settings.box_flame
        return bool(asked and not settings.leave and BoxSetting(settings.box).size)

    def open(self) -> None:
        """Creates the file, and removes boxes that are too old or too many. Never raises."""
        probe = self._probe
        wanted = BoxSetting(probe.settings.box)
        if self.on or not wanted.size or probe.settings.leave:
            return
        try:
            directory = wanted.folder or discovery.runtime_dir()
        except discovery.NoDirectoryError:
            return  # reported by the endpoints, which need it more
        endpoints = probe.endpoints
        facts = {
            "pid": endpoints.pid,
            "started": process.started(),
            "opened": probe.opened,
            "name": endpoints.name,
            "program": endpoints.program[:1000],
            "session": probe.session_id,
            "python": process.python(),
            "host": os.uname().nodename,
        }
        oom = process.oom_counter()
        if oom is not None:
            facts["oom_file"], facts["oom_kills"] = oom
        try:
            directory = os.path.abspath(directory)  # the program may change its working directory
            if wanted.folder and os.stat(directory).st_uid not in (os.geteuid(), 0):
                raise PermissionError(f"{directory} belongs to another user")
            old_boxes.remove(directory, time())
            path = f"{directory}/{protocol.box_name(endpoints.name, endpoints.pid, probe.session_id)}"
            self._ring = Ring(path, wanted.size, facts, probe.ring.bytes)
            self._steps = StepCopy(probe.ring)
        except Exception as error:
            warn(f"no black box, the program goes on: {text_of(error)}; LOOPTOP_BOX names another folder, or off")

    def merge(self, changes: Changes) -> None:
        """Takes the changes of one look at the hooks."""
        if self._session is not None:
            self._session.merge(changes)
            if changes.live or changes.ended or changes.gone:
                self._unread = True
                self._happened = monotonic()
            for record in turns.over(changes.live):
                self._read.discard(record.id)

    def sessions(self) -> list[Session]:
        """The session of the current segment, which takes samples as those of viewers do; none before the first."""
        return [] if self._session is None else [self._session]

    def due(self) -> float | None:
        """When `feed` must be called, in seconds of the monotonic clock; None without a box."""
        if self._ring is None:
            return None
        if self._session is not None and self._session.wants_output():
            return 0.0
        return self._due

    def hurry(self) -> None:
        """Makes a tick due now, because a loop is blocked."""
        self._due = 0.0

    def feed(self, now: float) -> None:
        """Writes the entries that are due. Never raises."""
        ring, session = self._ring, self._session
        if ring is None or not (now >= self._due or (session is not None and session.wants_output())):
            return
        try:
            if now >= self._due and ring.is_removed():
                # By who cleans up, or with the runtime directory of a user who logged out.
                self._drop(remove=False)
                self.open()
                ring, session = self._ring, None
                if ring is None:
                    return
            if session is None:
                session = self._begin(ring, 0)
            if now >= self._due:
                self._due = int(now) + EVERY
                self._orderly_end.look()
                self._steps.copy(ring)
                session.due = now
                session.watch.window = self._next_waits(now)
            self._write(ring, session, now)
            while (session := self._session) is not None and session.wants_output() and monotonic() - now < AT_ONCE:
                self._write(ring, session, now)
        except Exception as error:
            self._fail(error)

    def _write(self, ring: Ring, session: Session, now: float) -> None:
        last_event = session.last_event
        try:
            _append(ring, session, now)
            if session.behind and ring.room < ring.segment_size // 2:
                session.drop_backlog()  # the other half is for later events
        except SegmentFullError:
            # Entries that did not fit are in the next segment, which begins with the whole state.
            session = self._begin(ring, last_event)
            session.due = now
            try:
                _append(ring, session, now)
            except SegmentFullError:
                session.drop_backlog()

    def _begin(self, ring: Ring, last_event: int) -> Session:
        """Begins a segment, with all tasks and with the events after a number."""
        ring.begin()
        self._read = Ids()
        self._unread = True
        ring.append(protocol.encode(hello.of(self._probe)))
        self._session = session = Session(self._probe)
        columns = max(self._probe.history.columns, 1)
        rows = min(ring.segment_size // 4 // FIGURE_BYTES // columns, ROWS[COARSE])
        room = ring.segment_size - rows * columns * FIGURE_BYTES
        self._threads.begin(ring.segment_size // 4 // THREAD_BYTES)
        session.begin_unasked(last_event, room // TASK_BYTES, rows, self._threads)
        return session

    def _next_waits(self, now: float) -> list[int]:
        """The tasks whose waits are read for the next tick. Each that has run since they were read has its turn; the
        others again after REREAD seconds, if there are not too many."""
        known = self._probe.sampler.by_id
        if now >= self._reread_due and len(known) <= MOST_REREAD:
            self._reread_due = now + REREAD
            self._read = Ids()
            self._unread = True
        if not self._unread:
            return []
        found: list[int] = []
        begun = False
        for _ in range(MOST_LOOKED_AT // PART):
            if not self._place:
                if begun:
                    self._unread = False
                    break
                begun = True
            records, self._place = known.part(self._place, PART)
            for record in records:
                if record.id not in self._read:
                    self._read.add(record.id)
                    found.append(record.id)
            if len(found) > MOST_WAITS - PART:
                break
        return found

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, LostError):  # a program that closes all descriptors expects no line on stderr
            warn(f"the black box ends, the program goes on: {text_of(error)}")
        self._drop(remove=not isinstance(error, LostError))

    def _drop(self, remove: bool) -> None:
        self._orderly_end.forget()
        ring, self._ring, self._session = self._ring, None, None
        if ring is not None:
            ring.close(remove)

    def close(self) -> None:
        """Ends the box: removes the file unless the program failed or the settings keep it."""
        if self._ring is None:
            return
        failed = _failure()
        keep = bool(failed) or self._probe.settings.keep_box
        try:
            if keep:
                self._ring.end(failed or self.how or "exited")
        except (OSError, LostError):
            keep = True
        self._drop(remove=not keep)

    def forked(self) -> None:
        """Closes the file in a child after a fork; it remains the parent's."""
        self._drop(remove=False)


def _append(ring: Ring, session: Session, now: float) -> None:
    output = session.next_output(now)
    session.due = inf  # the box decides when
    if output:
        ring.append(output)


def _failure() -> str:
    """The exception that ends the interpreter now; empty if there is none, or a person interrupted it."""
    error: Any = getattr(sys, "last_value", None)
    if error is None or isinstance(error, (KeyboardInterrupt, SystemExit)) or hasattr(sys, "ps1"):
        return ""
    return f"unhandled {text_of(error)}".rstrip(": ")
