"""What a recorder asks of a probe, and what of the answers is new."""

from __future__ import annotations

from monitor.protocol import frames
from monitor.protocol.rows import TaskStaticRow, WaitRow
from monitor.store.store import Store

WINDOW = 50
"""Tasks per tick that are asked what they wait on: those of which it is not known since their last step."""

MOVING = 10
"""Of these, so many that made steps since the tick before: what they wait on is not true for long, and each costs the
program some ten microseconds."""


class Facts:
    """Leaves out what a probe says again of a task that comes into the window."""

    def __init__(self) -> None:
        self._known: dict[int, TaskStaticRow] = {}

    def drop_known_facts(self, frame: frames.Frame) -> frames.Frame | None:
        """The frame without what is known; None when nothing is left of it."""
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
        """Drops the tasks that have ended, now and then."""
        if len(self._known) > 2 * len(store.tasks) + 1000:
            self._known = {number: row for number, row in self._known.items() if number in store.tasks}


class Waits:
    """Asks by turns what the tasks wait on, and takes back what is not true any more."""

    def __init__(self) -> None:
        self._learned: dict[int, int] = {}  # steps of a task when its wait was told
        self._before: dict[int, int] = {}  # steps of all at the tick before
        self._window: list[int] = []
        self._turn = 0

    def look(self, store: Store) -> tuple[frames.Tick | None, list[int] | None]:
        """After a whole tick: a tick that takes back, and the next window where it is another one."""
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
