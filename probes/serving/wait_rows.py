"""What the tasks in sight of one viewer wait for."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from ..base import protocol
from ..base.task_facts import task_name
from ..hooks import reading
from ..inspection import detail

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..base.id_bitset import Ids
    from ..hooks.records import TaskRecord
    from .host import Host
    from .subscription import Watch

AT_ONCE = 40
"""Tasks whose waits are read before giving up the GIL for a moment."""
YOUNG = 2.0
"""Seconds of age up to which the wait of a task is sent with its row. A viewer asks for the waits of visible tasks, but
sorts only once a second, so the waits of short-lived tasks would never be shown."""
MOST_YOUNG = 50


class WaitRows:
    """What one viewer knows of the waits and the names of the tasks in its window."""

    def __init__(self, probe: Host, watch: Watch) -> None:
        self._probe = probe
        self._watch = watch
        self._names: dict[int, str] = {}
        self._waits: dict[int, list[Any]] = {}

    def rows(
        self, task_rows: list[list[Any]], known: Ids, static_of: Callable[[TaskRecord], list[Any] | None]
    ) -> tuple[list[list[Any]], list[list[Any]]]:
        """The protocol.WAIT_ROW of each wait that changed, and the facts of tasks that were renamed.

        `task_rows` are the other rows of this tick, `known` the tasks that the viewer has received.
        """
        window = self._watch.window
        waits, renamed = [], []
        for place, number in enumerate([*window, *self._young(task_rows)]):
            if place % AT_ONCE == 0:
                detail.yield_gil_if_due()
            record = self._probe.tasks.record_of(number)
            row = None
            if record is not None:
                row = reading.read(record, detail.wait_row, record, self._probe.sampler.tables)
            if record is None or row is None:
                self._waits.pop(number, None)
                continue
            if self._waits.get(number) != row:
                self._waits[number] = row
                waits.append(row)
            name = reading.read(record, task_name)
            if number in known and name is not None and self._names.get(number) != name:
                # Also for a task that becomes visible: it may have been renamed since its facts were sent.
                static = static_of(record)
                if static is not None:
                    self._names[number] = name
                    renamed.append(static)
        for number in (set(self._waits) | set(self._names)) - set(window):
            self._waits.pop(number, None)
            self._names.pop(number, None)
        return waits, renamed

    def _young(self, task_rows: list[list[Any]]) -> list[int]:
        """Tasks of this tick that are too young for the viewer to have asked for; none if its window is empty."""
        window = set(self._watch.window)
        if not window:
            return []
        since, found = monotonic() - YOUNG, []
        for number in sorted((row[0] for row in task_rows if row[1] == protocol.WAITING), reverse=True)[:MOST_YOUNG]:
            record = self._probe.tasks.record_of(number)
            if record is not None and record.born is not None and record.born > since and number not in window:
                found.append(number)
        return found
