"""Decodes the binary events of a step ring (docs/protocol.md). Times become nanoseconds of Unix time."""

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
"""Stands for an unknown time in the queue: the loop does not expose when callbacks become ready."""
LONGEST = 0x0FFFFFFE
"""Stands for a time that does not fit (67 s and more); an event of kind LONG before it has it, in LONG_UNITs."""
LONG_UNIT = 64
"""Units of a ring's clock."""


PLACE_BITS = 13
"""Low bits of a wait's waker that hold the place; the bits above hold the number of the object."""
PLACE = (1 << PLACE_BITS) - 1
LIFE_BITS = 15
"""Bits above both places of a birth: together how long the task lived, plus 1, if it came to a result at once."""
DONE = 3
"""What the end of such a task says: 3 of the states of a row."""


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
    LONG = 15


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
    """Decodes events and unwraps their 32-bit times.

    Events before the first mark have no known time and are skipped.
    """

    def __init__(self) -> None:
        self._mark: int | None = None
        self._long = (0, 0)  # time run and queued of the next event, if they do not fit
        self.skipped = 0

    def decode(self, data: bytes, offset: int) -> Iterator[Event]:
        """Yield the events of a piece. `offset`: Unix time minus the ring's clock (ns)."""
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
            if kind == Kind.LONG:
                self._long = task * LONG_UNIT, waker * LONG_UNIT
                continue
            at = mark + (ahead - (1 << 32) if ahead & 0x80000000 else ahead)
            loop, ran, queued = queued >> 28, ran & 0x0FFFFFFF, queued & 0x0FFFFFFF
            if kind <= Kind.CALL_HANDLE and LONGEST in (ran, queued):
                ran = max(ran, self._long[0]) if ran == LONGEST else ran
                queued = max(queued, self._long[1]) if queued == LONGEST else queued
                self._long = 0, 0
            if kind == Kind.BORN and (lived := ran >> PLACE_BITS | queued >> PLACE_BITS << LIFE_BITS):
                yield Event(kind, loop, at * UNIT + offset, ran & PLACE, queued & PLACE, task, waker)
                yield Event(Kind.END, loop, (at + lived - 1) * UNIT + offset, DONE, 0, task, 0)
                continue
            yield Event(kind, loop, at * UNIT + offset, ran, queued, task, waker)
        self._mark = mark

    def lost(self) -> None:
        """Note that events were overwritten: times are unknown until the next mark."""
        self._mark = None
        self._long = 0, 0
