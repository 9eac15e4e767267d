"""The binary events of a step ring, as docs/protocol.md describes them. Times become nanoseconds of Unix time."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT = struct.Struct("<5I")
UNIT = 250
"""Nanoseconds in a unit of a ring's clock."""

NOT_KNOWN = 0x0FFFFFFF
"""In the place of a time in the queue: the loop does not expose when things become ready."""


PLACE_BITS = 13
"""Of the waker of a wait: what is above them is the number of the object."""


class Kind(IntEnum):
    """Kinds of events. A step's kind names what made it ready."""

    MARK = 0
    STEP_TASK = 1
    STEP_SELF = 2
    STEP_BORN = 3
    STEP_TIMER = 4
    STEP_SOON = 5
    STEP_HANDLE = 6
    STEP_OUTSIDE = 7
    CALL_TIMER = 8
    CALL_SOON = 9
    CALL_HANDLE = 10
    WAIT = 11
    BORN = 12
    END = 13
    GC = 14


class Event(NamedTuple):
    """One event. The meaning of `ran`, `queued` and `waker` depends on the kind."""

    kind: int
    loop: int
    at: int  # ns of Unix time
    ran: int
    queued: int
    task: int
    waker: int


class Decoder:
    """Unwraps the 32 bits of each time. What comes before the first mark cannot be placed and is left out."""

    def __init__(self) -> None:
        self._mark: int | None = None
        self.skipped = 0

    def decode(self, data: bytes, offset: int) -> Iterator[Event]:
        """The events of a piece; `offset` is Unix time minus the ring's clock (ns)."""
        mark = self._mark
        low_mark = 0 if mark is None else mark & 0xFFFFFFFF
        whole = len(data) - len(data) % EVENT.size
        for low, ran, queued, task, waker in EVENT.iter_unpack(memoryview(data)[:whole]):
            kind = ran >> 28
            if kind == 0:
                mark = task << 32 | low
                low_mark = low
                continue
            if mark is None:
                self.skipped += 1
                continue
            ahead = (low - low_mark) & 0xFFFFFFFF
            at = mark + (ahead - (1 << 32) if ahead & 0x80000000 else ahead)
            yield Event(kind, queued >> 28, at * UNIT + offset, ran & 0x0FFFFFFF, queued & 0x0FFFFFFF, task, waker)
        self._mark = mark

    def lost(self) -> None:
        """Events in between were overwritten: times cannot be placed before the next mark."""
        self._mark = None
