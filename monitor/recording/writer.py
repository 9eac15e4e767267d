"""Writes a recording in a thread of its own, which encodes, compresses and writes to the disk.

The thread gets complete blocks through a queue of three. If it is full, the block is dropped: its ticks are counted,
its events move to the next block, and the caller never waits.

Each block is written as soon as it is complete, so a killed recorder loses at most the block it was collecting. The
file is synced only at its end, so a power failure may lose more.
"""

from __future__ import annotations

import contextlib
import os
import queue
import stat
import threading
from typing import TYPE_CHECKING, Protocol

from monitor.errors import LooptopError, UsageError
from monitor.protocol import frames
from monitor.recording import block_codec
from monitor.recording import file_format as file_format
from monitor.recording.blocks import Block, Collector, facts
from monitor.recording.triggers import Triggers
from monitor.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path

MOST_QUEUED = 3
PATIENCE = 30.0
"""Seconds to wait for the disk to take the last blocks."""

ANOTHER = "another session began: the program was started anew"


class Sink(Protocol):
    """The destination of blocks. Called by the writer's thread only, except for its creation."""

    written: int

    def write(self, block: Block) -> None:
        """Write a block. After an OSError or LooptopError nothing more is written."""

    def finish(self, reason: str) -> None:
        """Complete and close the file."""

    def fail(self) -> None:
        """Close what has been written, after a failure."""


class File:
    """One recording on disk."""

    def __init__(self, path: Path, *, rate: float | None = None) -> None:
        """Open the file. Raises UsageError if it cannot be written."""
        self.path = path
        self.written = 0  # bytes of complete blocks
        self._rate = rate
        self._places: list[file_format.Place] = []
        self._dropped = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._fd = os.open(path, flags, 0o600)
        except FileExistsError:
            raise UsageError(f"{path} exists", "name another file, or remove it") from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(f"{path} cannot be written ({reason})", "name another place with -o FILE") from None

    def fileno(self) -> int:
        """The descriptor of the open file."""
        return self._fd

    @property
    def start(self) -> int | None:
        """Start of the first block, in Unix microseconds; None before that."""
        return self._places[0].summary.start if self._places else None

    def write(self, block: Block) -> None:
        """Append a block to the file."""
        if not self._places:
            self._append(file_format.heading(facts(block.keyframe, self._rate)))
        summary = block.summary()
        self.append(file_format.block(summary, block_codec.parts(block)), summary)

    def append(self, data: bytes, summary: file_format.Summary) -> None:
        """Append an encoded block."""
        offset = self.written
        self._append(data)
        self._places.append(file_format.Place(offset=offset, size=len(data), summary=summary))
        self._dropped += summary.dropped

    def head(self, data: bytes) -> None:
        """Write a heading copied from another file."""
        self._append(data)

    def finish(self, reason: str) -> None:
        """Write index and trailer and sync the file. A recording without a block is removed.

        Raises OSError; the caller then calls `fail`.
        """
        self._end(reason)
        self._close()

    def fail(self) -> None:
        """Cut off an incomplete block, and write the index if there is room for it."""
        try:
            self._cut()
            try:
                self._end("could not be written any further")
            except OSError:
                self._cut()
        finally:
            self._close()

    def _close(self) -> None:
        handle, self._fd = self._fd, -1
        if handle >= 0:
            os.close(handle)

    def _cut(self) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self.written)
            os.lseek(self._fd, self.written, os.SEEK_SET)

    def _end(self, reason: str) -> None:
        if not self._places and not self.written and stat.S_ISREG(os.fstat(self._fd).st_mode):
            self.path.unlink(missing_ok=True)
        if self._places:
            index = file_format.Index(places=self._places, dropped=self._dropped, reason=reason)
            self._append(file_format.ending(index, self.written))
        with contextlib.suppress(OSError):  # a pipe or a terminal cannot be synced
            os.fsync(self._fd)

    def _append(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._fd, left) :]
        self.written += len(data)


class Recorder:
    """Records the frames of a store. `take` is called with each frame after the store has applied it; never blocks."""

    def __init__(
        self,
        store: Store,
        sink: Sink,
        *,
        segment: float | None = None,
        triggers: Triggers | None = None,
    ) -> None:
        """`segment`: seconds after which a flight recorder's sink begins a new segment."""
        self.problem: str | None = None
        self.dropped = 0
        self.ticks = 0
        self.ended: str | None = None
        self._store = store
        self._sink = sink
        self._segment = segment
        self._triggers = triggers
        self._session = store.session.id if store.session is not None else None
        self._collector = Collector(store)
        self._waits = False  # for a complete state, after a reconnect
        self._last_seq = store.last_seq  # of the newest event; after a reconnect a probe repeats them
        self._meanwhile: list[frames.Event] = []  # events from while the connection was lost
        self._segment_start = 0
        self._queue: queue.Queue[Block | None] = queue.Queue(MOST_QUEUED)
        self._reason = ""
        self._thread = threading.Thread(target=self._run, name="looptop-recorder", daemon=True)
        self._thread.start()
        if self._session is not None:
            self._begin(segment=True)

    @property
    def written(self) -> int:
        """Bytes written so far."""
        return self._sink.written

    @property
    def running(self) -> bool:
        """Whether frames are still being recorded."""
        return self.problem is None and self.ended is None

    def take(self, frame: frames.Frame) -> None:
        """Record a frame that the store has applied."""
        if not self.running:
            return
        if isinstance(frame, frames.Hello):
            self._greet(frame)
            return
        if isinstance(frame, frames.Event):
            if frame.seq <= self._last_seq:
                return
            self._last_seq = frame.seq
        if self._waits:
            if isinstance(frame, frames.Event):
                self._meanwhile.append(frame)
            elif isinstance(frame, frames.Tick) and frame.loops and not frame.left:
                self._waits = False
                self._begin(jump=True)
                self._collector.add_missed(self._meanwhile)
                self._meanwhile = []
            return
        if isinstance(frame, frames.Tick) and frame.loops:
            self.ticks += 1
        complete = self._collector.add(frame)
        if self._triggers is not None:
            self._triggers.check(frame, self._store)
            complete = complete or (self._triggers.due(self._store.now) and isinstance(frame, frames.Tick))
        if complete:
            self._cut()

    def close(self, reason: str = "the recorder was ended") -> None:
        """Write what is pending and complete the file. May wait for the disk."""
        if self._thread.is_alive():
            if self.running:
                self._cut(last=True)
            self.ended = self.ended or reason
            self._reason = self.ended
            with contextlib.suppress(queue.Full):
                self._queue.put(None, timeout=PATIENCE)
            self._thread.join(PATIENCE)
            if self._thread.is_alive():
                self.problem = "the disk takes nothing: the end of the recording is missing"

    def _greet(self, hello: frames.Hello) -> None:
        if self._session is None:
            self._session = hello.session
            self._begin(segment=True)
        elif self._session != hello.session:
            self._collector.block = None
            self.ended = self._reason = ANOTHER
            with contextlib.suppress(queue.Full):
                self._queue.put_nowait(None)
        else:
            self._cut(last=True)  # the store now drops its tasks and gets them again
            self._collector.block = None
            self._waits = True

    def _begin(self, *, segment: bool = False, jump: bool = False, dropped: int = 0) -> None:
        self._collector.begin(segment=segment, jump=jump, dropped=dropped)
        if segment:
            self._segment_start = round(self._store.now * 1e6)

    def _cut(self, last: bool = False) -> None:
        """Hand the block to the thread and begin the next one."""
        block = self._collector.block
        if block is None:
            return
        if self._triggers is not None:
            block.finish = self._triggers.take(self._store.now, last)
        now = round(self._store.now * 1e6)
        rolls = self._segment is not None and (now - self._segment_start) * 1e-6 >= self._segment
        try:
            self._queue.put_nowait(block) if not last else self._queue.put(block, timeout=PATIENCE)
        except queue.Full:
            ticks = block.summary().ticks
            self.dropped += ticks
            self._begin(segment=rolls or block.begins_segment, jump=True, dropped=ticks + block.dropped)
            self._collector.carry(block)
            if self._triggers is not None and block.finish is not None:
                self._triggers.retry(block.finish)
            return
        if not last:
            self._begin(segment=rolls)

    def _run(self) -> None:
        while True:
            block = self._queue.get()
            if self.problem is not None and block is not None:
                continue
            try:
                if block is None:
                    if self.problem is None:
                        self._sink.finish(self._reason)
                    return
                self._sink.write(block)
            except (OSError, LooptopError) as error:
                self.problem = (error.strerror if isinstance(error, OSError) else None) or str(error)
                self._sink.fail()
                if block is None:
                    return
