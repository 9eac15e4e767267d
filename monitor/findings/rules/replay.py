"""Findings at any moment of a recording: those that a viewer from its start would have, however one seeks to it."""

from __future__ import annotations

import copy
import time
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from monitor.findings.rules.engine import Findings
from monitor.findings.thresholds import Thresholds
from monitor.protocol.frames import Tick
from monitor.protocol.keyframes import History
from monitor.recording.file_format import Damaged
from monitor.store.store import Store

if TYPE_CHECKING:
    from monitor.recording.reader import Recording

APART = 100
"""Checkpoints are at least one block and 1/APART of the recording apart."""


@dataclass(slots=True)
class Replay:
    """Reads a recording from its start into a store of its own, as far as needed."""

    recording: Recording
    thresholds: Thresholds = field(default_factory=Thresholds)
    _findings: Findings = field(init=False)
    _store: Store = field(default_factory=Store)
    _block: int | None = None  # start of the block being read (Unix microseconds); None before the first
    _done: int = 0  # number of its frames that were read
    _read_to: int = 0
    _checkpoints: list[tuple[int, Findings]] = field(default_factory=list)  # at starts of blocks

    def __post_init__(self) -> None:
        self._findings = Findings(self.thresholds)

    def at(self, moment: int, budget: float) -> Findings | None:
        """The findings at a time; None if reading takes longer than `budget` seconds: then call again to continue."""
        if moment < self._read_to:
            self._go_back(moment)
        until = time.monotonic() + budget
        while not self._read(moment, until):
            if time.monotonic() >= until:
                return None
        self._read_to = moment
        return self._findings

    def _go_back(self, moment: int) -> None:
        found = bisect_right(self._checkpoints, moment, key=lambda checkpoint: checkpoint[0]) - 1
        self._store, self._done, self._read_to = Store(), 0, 0
        if found < 0:
            self._block, self._findings = None, Findings(self.thresholds)
            return
        begin, findings = self._checkpoints[found]
        number = self.recording.block_at(begin)
        try:
            self._store.apply(self.recording.keyframe(number))
        except Damaged:  # damaged after it was read: start over
            self._checkpoints.clear()
            self._go_back(moment)
            return
        self._block, self._findings = begin, copy.deepcopy(findings)

    def _read(self, moment: int, until: float) -> bool:
        """Reads the rest of a block, or enters the next one; returns whether the moment is reached."""
        recording = self.recording
        target = recording.block_at(moment)
        number = 0 if self._block is None else recording.block_at(self._block)
        if self._block is None or recording.summary(number).start != self._block:  # it has been skipped as damaged
            self._enter(number)
            return False
        try:
            decoded = recording.decoded(number)
        except Damaged:
            recording.leave_out(number)
            return False
        count = len(decoded.frames) if number < target else decoded.count_until(moment)
        while self._done < count:
            frame = decoded.frames[self._done]
            self._done += 1
            self._store.apply(frame)
            if isinstance(frame, Tick) and frame.loops:
                self._findings.evaluate(self._store)
                if time.monotonic() >= until:
                    return self._done >= count and number >= target
        if number >= target:
            return True
        self._enter(number + 1)
        return False

    def _enter(self, number: int) -> None:
        """Continues with a block; loads its keyframe unless it directly follows the previous block."""
        recording = self.recording
        follows = self._block is not None and recording.follows(number)
        if not follows:
            try:
                keyframe = recording.keyframe(number)
            except Damaged:
                recording.leave_out(number)
                return
            carried = [] if self._block is None else recording.carried(number)
            if self._block is not None:  # the history before it is known already
                keyframe = msgspec.structs.replace(keyframe, history=History())
            if carried:
                keyframe = msgspec.structs.replace(keyframe, last_seq=carried[0].seq - 1)
            self._store.apply(keyframe)
            for event in carried:
                self._store.apply(event)
        self._block, self._done = recording.summary(number).start, 0
        last = self._checkpoints[-1][0] if self._checkpoints else 0
        if follows and self._block - last >= (recording.end - recording.start) / APART:
            self._checkpoints.append((self._block, copy.deepcopy(self._findings)))
