"""Requests the waits of tasks in turn for a recorder, and keeps what is new of the answers."""

from __future__ import annotations

from monitor.protocol import frames
from monitor.protocol.rows import TaskStaticRow, WaitRow
from monitor.store.store import Store

WINDOW = 50
"""Tasks per tick whose wait is requested: those that have stepped since it was last read."""

MOVING = 10
"""How many of these may have stepped since the tick before: their wait is soon out of date, and each read costs the
program about ten microseconds."""


class Facts:
    """Drops facts that a probe repeats for a task that comes into the window."""

    def __init__(self) -> None:
        self._known: dict[int, TaskStaticRow] = {}

    def drop_known_facts(self, frame: frames.Frame) -> frames.Frame | None:
        """Return the frame without known facts, or None if nothing is left."""
        if isinstance(frame, frames.Hello):
            self._known.clear()
        if not isinstance(frame, frames.Static) or not frame.tasks:
            return frame
        fresh = [row for row in frame.tasks if self._known.get(row.id) != row]
        self._known.update({row.id: row for row in fresh})
        if not fresh and frame.strings is None and frame.sites is None and not frame.loops:
            return None
        return frames.Static(strings=frame.strings, sites=frame.sites, loops=frame.loops, tasks=fresh)

    def forget(self, store: Store) -> None:
        """Drop ended tasks from time to time."""
        if len(self._known) > 2 * len(store.tasks) + 1000:
            self._known = {number: row for number, row in self._known.items() if number in store.tasks}


class Waits:
    """Requests what tasks wait on, in turn, and withdraws waits that are out of date."""

    def __init__(self) -> None:
        self._learned: dict[int, int] = {}  # steps of a task when its wait was read
        self._before: dict[int, int] = {}  # steps of all tasks at the tick before
        self._window: list[int] = []
        self._turn = 0

    def poll(self, store: Store) -> tuple[frames.Tick | None, list[int] | None]:
        """After a complete tick, return a tick that withdraws old waits, and the next window if it has changed."""
        now = {number: task.steps for number, task in store.tasks.items()}
        self._learned.update({number: now[number] for number in self._window if number in now})
        learned, before = self._learned, self._before
        unknown = [number for number, steps in now.items() if learned.get(number) != steps]
        false = [number for number in unknown if store.tasks[number].wait_kind is not None]
        if len(learned) > 2 * len(now) + 1000:
            self._learned = {number: steps for number, steps in learned.items() if number in now}
        if len(now) <= WINDOW:
            window = list(now)
        else:
            moving = [number for number in unknown if before.get(number) != now[number]]
            resting = set(unknown).difference(moving)
            window = [number for number in unknown if number in resting][:WINDOW]
            window += self._by_turns(moving, min(MOVING, WINDOW - len(window)))
        self._before = now
        changed = None if window == self._window else window
        self._window = window
        back = None
        if false:
            waits = [WaitRow(number, None, None) for number in false]
            back = frames.Tick(at=round(store.now * 1e6), waits=waits, left=store.left)
        return back, changed

    def _by_turns(self, moving: list[int], most: int) -> list[int]:
        if not moving or most <= 0:
            return []
        self._turn %= len(moving)
        chosen = (moving[self._turn :] + moving[: self._turn])[:most]
        self._turn += most
        return chosen
