"""Options of a task list, and the request for it, which is sent before the store is imported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.transport.connection import Connection

RATE = 10
"""Ticks per second to request: utilization and each task's share are measured over the tenth of a second between the
first two. A longer wait would be noticeable."""

DEFAULT_SORT = "busy"


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """What to print of the tasks."""

    sort: str = DEFAULT_SORT
    filter: str = ""
    limit: int | None = None
    ended: bool = False
    tree: bool = False
    stacks: bool = False
    locals: bool = False
    """Have the probe keep local variables of failures meanwhile."""

    @property
    def usual(self) -> bool:
        """Whether sort and filter are the defaults, which need no validation."""
        return self.sort == DEFAULT_SORT and not self.filter


def ask(connection: Connection, options: TaskOptions) -> None:
    """Request all tasks, and two ticks a moment apart."""
    connection.send(
        {
            "type": "watch",
            "rate": RATE,
            "events": options.ended,
            "rows": True,
            "locals": options.locals,
            "first": {"sort": "busy", "limit": 1000},
        }
    )
