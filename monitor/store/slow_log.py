"""Slow callbacks, one by one and grouped by the line that blocked. Bounded."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from monitor.store.model import Site, SlowCallback

MOST = 1000
MOST_OF_A_LINE = 50


@dataclass(slots=True)
class BlockingLine:
    """What one line has blocked so far. `line` is None for callbacks that were over before they were caught."""

    line: Site | None
    count: int = 0
    total: float = 0.0
    worst: float = 0.0
    last: float = 0.0  # when it last ended, Unix time
    callbacks: deque[SlowCallback] = field(default_factory=lambda: deque(maxlen=MOST_OF_A_LINE))


class SlowLog:
    """The last 1,000 slow callbacks, and every line that was blamed."""

    def __init__(self) -> None:
        self.entries: deque[SlowCallback] = deque(maxlen=MOST)
        self.lines: dict[Site | None, BlockingLine] = {}
        self.revision = 0

    def add(self, slow: SlowCallback) -> None:
        """Books a slow callback to its line."""
        self.entries.append(slow)
        group = self.lines.get(slow.line)
        if group is None:
            group = self.lines[slow.line] = BlockingLine(slow.line)
        group.count += 1
        group.total += slow.duration
        group.worst = max(group.worst, slow.duration)
        group.last = max(group.last, slow.at)
        group.callbacks.append(slow)
        self.revision += 1

    def frozen(self) -> SlowLog:
        """A copy that stays as it is."""
        twin = SlowLog()
        twin.entries, twin.revision = self.entries.copy(), self.revision
        twin.lines = {line: replace(group, callbacks=group.callbacks.copy()) for line, group in self.lines.items()}
        return twin

    def worst_first(self) -> list[BlockingLine]:
        """The lines by the time that they blocked, the worst first."""
        return sorted(self.lines.values(), key=lambda group: -group.total)
