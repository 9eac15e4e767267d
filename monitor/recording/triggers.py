"""`--on slow:1s`, `--on failed`, `--on growth:100MB`: when the flight recorder finishes a file."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor import parsing
from monitor.errors import UsageError
from monitor.protocol import frames
from monitor.store.store import Store
from monitor.store.task_names import who

if TYPE_CHECKING:
    from collections.abc import Sequence

AFTERWARDS = 30.0
"""Seconds after a trigger that belong to its file."""

_STEP_UNITS = {unit: parsing.DURATIONS[unit] for unit in ("", "ms", "s")}
"""Accepted units for the length of a block."""


def unhandled(event: frames.Event) -> str:
    """Describe a call of a loop's exception handler in one line: the task, and the exception if there is one."""
    of = f" of {who(event.task, event.name, event.coro, event.label)[:60]}" if event.name else ""
    failure = event.exception
    if failure is None or not failure.type:
        return f"unhandled{of}: {event.message}"
    return f"unhandled {failure.type}{of}: {failure.message or event.message}"


class Triggers:
    """Checks each frame for the triggers; keeps the reason and the time at which a file is due."""

    def __init__(self, words: Sequence[str], window: float, afterwards: float = AFTERWARDS) -> None:
        """`window`: seconds over which memory growth is measured. Raises UsageError if a trigger cannot be parsed."""
        self._slow: float | None = None
        self._failed = False
        self._growth: float | None = None
        self._window = window
        self._afterwards = afterwards
        self._least: deque[tuple[float, int]] = deque()
        self._since: float | None = None
        self._why: str | None = None
        self._due = 0.0
        for word in words:
            self._parse(word)

    def _parse(self, word: str) -> None:
        kind, _, limit = word.partition(":")
        if word == "failed":
            self._failed = True
        elif kind == "slow" and (seconds := parsing.quantity(limit, _STEP_UNITS)) is not None:
            self._slow = seconds
        elif kind.lower() == "growth" and (size := parsing.size(limit)) is not None:
            self._growth = size
        else:
            raise UsageError(f"--on {word} is not a trigger", "one of slow:1s, failed, growth:100MB")

    @property
    def slow(self) -> float | None:
        """The slow-callback threshold that the recorder has to request, in seconds."""
        return self._slow

    @property
    def pending(self) -> str | None:
        """The reason of the file that is about to be finished."""
        return self._why

    def check(self, frame: frames.Frame, store: Store) -> None:
        """Check a frame that the store has applied."""
        if self._since is None:
            self._since = store.now
        why = None
        if isinstance(frame, frames.Event):
            # Events that the probe remembers from before the recording must not trigger.
            why = self._of_event(frame) if frame.at * 1e-6 >= self._since else None
        elif isinstance(frame, frames.Tick) and frame.process is not None and frame.process.rss is not None:
            why = self._of_memory(frame.process.rss, store.now)
        if why is not None and self._why is None:
            self._why, self._due = why, store.now + self._afterwards

    def _of_event(self, event: frames.Event) -> str | None:
        seconds = event.duration * 1e-6
        if event.kind == "slow_callback" and self._slow is not None and seconds >= self._slow:
            return (
                f"{who(event.task, event.name, event.callback, event.label)[:60]} blocked for {fmt.duration(seconds)}"
            )
        if self._failed and event.kind == "task_ended" and event.outcome == "failed":
            return f"{who(event.task, event.name, event.coro, event.label)[:60]} failed"
        if self._failed and event.kind == "unhandled":
            return unhandled(event)[:120]
        return None

    def _of_memory(self, rss: int, now: float) -> str | None:
        """Check growth over the minimum within the window; after a trigger the window starts anew."""
        if self._growth is None:
            return None
        least = self._least
        while least and least[-1][1] >= rss:
            least.pop()
        least.append((now, rss))
        while now - least[0][0] > self._window:
            least.popleft()
        if rss - least[0][1] < self._growth:
            return None
        grown = rss - least[0][1]
        least.clear()
        least.append((now, rss))
        return f"memory grew by {fmt.size(grown)}"

    def due(self, now: float) -> bool:
        """Whether a file is due now."""
        return self._why is not None and now >= self._due

    def take(self, now: float, last: bool) -> str | None:
        """Return the reason of a due file, once. `last`: also if its seconds afterwards are not complete."""
        if self._why is None or not (last or now >= self._due):
            return None
        why, self._why = self._why, None
        return why

    def retry(self, why: str) -> None:
        """Put a reason back: the file could not be written yet."""
        self._why = self._why or why
