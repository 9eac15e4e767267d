"""The file of a black box: a heading, segments that are overwritten in turn, steps (docs/blackbox.md).

It is written with `pwrite`, not through a mapping: the kernel keeps what was written when the process is killed in
either case, and a full disk or a truncated file is an error instead of a SIGBUS.
"""

from __future__ import annotations

import json
import os
import struct
from binascii import crc32
from time import time
from typing import Any

from ..base import protocol
from ..base.owned_fds import LostError, OwnFile

try:
    from zlib import compress
except ImportError:  # a Python built without zlib; readers tell by the first byte whether lines are compressed

    def compress(data: bytes, level: int = -1) -> bytes:  # type: ignore[misc]  # noqa: ARG001
        """Returns the bytes uncompressed."""
        return data


SEGMENTS = 4
LEAST, MOST = 1 << 20, 256 << 20
"""Smallest and largest file in bytes."""

_SEGMENT = struct.Struct("<4sIQ")
_ENTRY = struct.Struct("<II")
_NOTHING = bytes(_ENTRY.size)
_LEVEL = 1
_STEPS = struct.Struct("<QQq")
STEPS_SHARE = 4
"""The part of the file that steps may take: a quarter."""


class SegmentFullError(OSError):
    """An entry does not fit into the rest of its segment."""


class Ring:
    """One file, open for writing and locked, which marks its program as alive."""

    def __init__(self, path: str, size: int, facts: dict[str, Any], steps: int) -> None:
        """Creates the file. `steps`: bytes of the step ring. Raises OSError."""
        self.path = path
        self.events = min(steps, size // STEPS_SHARE) // protocol.STEP_EVENT
        """How many events of the step ring it keeps."""
        room = self.events * protocol.STEP_EVENT + protocol.BOX_STEPS_HEADING if self.events else 0
        self.segment_size = (size - protocol.BOX_HEADING - room) // SEGMENTS
        self._steps = protocol.BOX_HEADING + SEGMENTS * self.segment_size
        self._number = 0
        self._at = self._end = 0
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            self._own = OwnFile(self._handle)
            self._linked = os.fstat(self._handle).st_nlink > 0  # some file systems do not count
            _lock(self._handle)
            facts = {**facts, "segments": SEGMENTS, "segment": self.segment_size, "events": self.events}
            self._put(_heading(facts), 0)
        except BaseException:
            self._own.close()
            os.unlink(path)
            raise

    @property
    def begun(self) -> bool:
        """Whether a segment has been begun."""
        return self._number > 0

    @property
    def room(self) -> int:
        """Bytes left in the segment."""
        return self._end - self._at

    def is_removed(self) -> bool:
        """Whether somebody has removed the file, so that nobody can find it. Raises OSError, LostError."""
        self._own.check()
        return self._linked and not os.fstat(self._handle).st_nlink

    def begin(self) -> None:
        """Begins the next segment, in the place of the oldest. Raises OSError, LostError."""
        place = protocol.BOX_HEADING + self._number % SEGMENTS * self.segment_size
        self._number += 1
        number = self._number.to_bytes(8, "little")
        self._put(_SEGMENT.pack(protocol.BOX_SEGMENT, crc32(number), self._number) + _NOTHING, place)
        self._at, self._end = place + _SEGMENT.size, place + self.segment_size

    def append(self, lines: bytes) -> None:
        """Appends an entry of whole lines. Raises SegmentFullError, OSError, LostError."""
        data = compress(lines, _LEVEL)
        if self._at + 2 * _ENTRY.size + len(data) > self._end:
            raise SegmentFullError
        # The checksum includes the number of the segment, so an entry of an earlier lap never passes for a new one.
        self._put(_ENTRY.pack(len(data), crc32(data, self._number & 0xFFFFFFFF)) + data + _NOTHING, self._at)
        self._at += _ENTRY.size + len(data)

    def note_steps(self, oldest: int, after: int, offset: int) -> None:
        """Notes which events are there. Raises OSError, LostError."""
        facts = _STEPS.pack(oldest, after, offset)
        self._put(protocol.BOX_STEPS + crc32(facts).to_bytes(4, "little") + facts, self._steps)

    def put_steps(self, number: int, events: bytes) -> None:
        """Writes events, of which the first has this number, in the place of older ones. Raises OSError, LostError."""
        begin = self._steps + protocol.BOX_STEPS_HEADING
        place = number % self.events
        first = (self.events - place) * protocol.STEP_EVENT
        self._put(events[:first], begin + place * protocol.STEP_EVENT)
        if len(events) > first:
            self._put(events[first:], begin)

    def end(self, how: str) -> None:
        """Notes how the program ended. Raises OSError, LostError."""
        room = protocol.BOX_STATUS - protocol.BOX_END
        length = 300
        while len(text := json.dumps({"at": time(), "how": how[:length]}).encode() + b"\n") > room:
            length //= 2  # a character takes up to twelve bytes
        self._put(text, protocol.BOX_END)

    def close(self, remove: bool) -> None:
        """Closes the file, and removes it unless `keep` is set."""
        self._own.close()
        if remove:
            try:
                os.unlink(self.path)
            except OSError:
                return

    def _put(self, data: bytes, place: int) -> None:
        self._own.check()
        left = memoryview(data)
        while left:
            written = os.pwrite(self._handle, left, place)
            left, place = left[written:], place + written


def _heading(facts: dict[str, Any]) -> bytes:
    most = protocol.BOX_END - len(protocol.BOX_MAGIC) - 1
    text = json.dumps(facts).encode()
    if len(text) > most:
        text = json.dumps({**facts, "program": "", "name": facts["name"][:100]}).encode()
    return (protocol.BOX_MAGIC + text + b"\n").ljust(protocol.BOX_HEADING, b"\0")


def _lock(handle: int) -> None:
    """Locks the file while this process, or a child that inherited it, has it open. Readers test the lock."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):  # a file system without locks
        return


__all__ = ["LEAST", "MOST", "SEGMENTS", "LostError", "Ring", "SegmentFullError"]
