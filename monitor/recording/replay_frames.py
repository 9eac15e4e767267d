"""Yields the frames of a recording between two times, for printing, comparing and exporting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from monitor.protocol.keyframes import History
from monitor.recording.file_format import Damaged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.protocol.frames import Frame
    from monitor.recording.reader import Recording


def walk(recording: Recording, begin: int | None = None, end: int | None = None) -> tuple[list[Frame], Iterator[Frame]]:
    """Return the state at `begin` (Unix microseconds; default: the start), and the frames from there to `end`.

    Where ticks are missing, a keyframe without history comes next, followed by the events of the missing ticks.
    """
    first, number, done = recording.state(recording.start if begin is None else begin)
    return first, _follow(recording, number, done, recording.end if end is None else end)


def _follow(recording: Recording, number: int, done: int, end: int) -> Iterator[Frame]:
    while number < recording.blocks and recording.summary(number).start <= end:
        try:
            decoded = recording.decoded(number)
            if done < 0:
                yield from _enter(recording, number)
                done = 0
        except Damaged:
            recording.leave_out(number)  # its number now belongs to the next block
            done = -1
            continue
        yield from decoded.frames[done : decoded.count_until(end)]
        number += 1
        done = 0 if recording.follows(number) else -1


def _enter(recording: Recording, number: int) -> Iterator[Frame]:
    """Yield the state at the start of a block that does not continue the previous one. Raises Damaged."""
    missed = recording.carried(number)
    keyframe = msgspec.structs.replace(recording.keyframe(number), history=History())
    if missed:
        keyframe = msgspec.structs.replace(keyframe, last_seq=missed[0].seq - 1)
    yield keyframe
    yield from missed
