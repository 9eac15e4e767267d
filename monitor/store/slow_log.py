"""Keeps slow callbacks, one by one and grouped by the line that blocked, bounded."""

from __future__ import annotations

from collections import Counter, deque
from itertools import takewhile

import msgspec
from msgspec.structs import replace

from monitor.store.model import Block, Site, SlowCallback

MOST = 1000
MOST_OF_A_LINE = 50
MOST_LINES = 2000
MOST_OF_ALL = 10_000
"""Limit of lines, and of callbacks of all lines; those that blocked for the shortest time go first."""


class BlockingNow(msgspec.Struct, frozen=True):
    """A callback that is blocking a loop now."""

    duration: float  # seconds so far
    block: Block
    task: int | None
    name: str


class BlockingLine(msgspec.Struct):
    """The blocks of one line. `line` is None for callbacks that ended before they were sampled."""

    line: Site | None
    count: int = 0
    total: float = 0.0
    worst: float = 0.0
    last: float = 0.0  # Unix time at which the last one ended
    callbacks: deque[SlowCallback] = msgspec.field(default_factory=lambda: deque(maxlen=MOST_OF_A_LINE))
    gil: float = 0.0  # part of the total: waiting for the GIL
    now: BlockingNow | None = None  # the one that is still running, in addition

    @property
    def label(self) -> str | None:
        """The label of most of its callbacks; None if they have none."""
        labels = Counter(slow.label for slow in self.callbacks if slow.label)
        return max(labels, key=lambda label: labels[label]) if labels else None

    @property
    def at_least(self) -> bool:
        """Whether the durations are lower bounds: one block began before the probe counted."""
        begun = self.now is not None and self.now.block.at_least
        return begun or any(slow.at_least for slow in self.callbacks)


class SlowLog:
    """The last 1,000 slow callbacks, and the blamed lines."""

    def __init__(self) -> None:
        self.entries: deque[SlowCallback] = deque(maxlen=MOST)
        self.lines: dict[Site | None, BlockingLine] = {}
        self.revision = 0
        self._kept = 0

    def add(self, slow: SlowCallback) -> None:
        """Add a slow callback to its line."""
        self.entries.append(slow)
        group = self.lines.get(slow.line)
        if group is None:
            group = self.lines[slow.line] = BlockingLine(slow.line)
        group.count += 1
        group.total += slow.duration
        group.gil += slow.gil
        group.worst = max(group.worst, slow.duration)
        group.last = max(group.last, slow.at)
        self._kept += len(group.callbacks) < MOST_OF_A_LINE
        group.callbacks.append(slow)
        self.revision += 1
        if len(self.lines) > MOST_LINES or self._kept > MOST_OF_ALL:
            self._thin_out()

    def since(self, seq: int) -> list[SlowCallback]:
        """Return the callbacks after the event with this number, oldest first."""
        newer = list(takewhile(lambda slow: slow.seq > seq, reversed(self.entries)))
        return newer[::-1]

    def _thin_out(self) -> None:
        """Evict down to half of the limits."""
        lines = self.worst_first()[: MOST_LINES // 2]
        self.lines, self._kept = {group.line: group for group in lines}, 0
        for group in lines:
            if self._kept + len(group.callbacks) > MOST_OF_ALL // 2:
                group.callbacks.clear()
            self._kept += len(group.callbacks)

    def frozen(self) -> SlowLog:
        """Return an independent copy."""
        twin = SlowLog()
        twin.entries, twin.revision, twin._kept = self.entries.copy(), self.revision, self._kept
        twin.lines = {line: replace(group, callbacks=group.callbacks.copy()) for line, group in self.lines.items()}
        return twin

    def worst_first(self) -> list[BlockingLine]:
        """Return the lines sorted by time blocked, worst first."""
        return sorted(self.lines.values(), key=lambda group: -group.total)
