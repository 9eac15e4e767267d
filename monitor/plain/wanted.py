"""What a look at the tasks is to show, and how a probe is told. Needs no store: it is told before that is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.transport.connection import Connection

RATE = 10
"""Ticks per second that are asked for: utilization, and the share of each task, are of the tenth of a second between
the first two. A person who waits for a list notices a longer one."""

DEFAULT_SORT = "busy"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to print of the tasks."""

    sort: str = DEFAULT_SORT
    filter: str = ""
    limit: int | None = None
    ended: bool = False
    tree: bool = False
    stacks: bool = False
    locals: bool = False
    """Have the probe keep the local names of what fails meanwhile."""

    @property
    def usual(self) -> bool:
        """Whether there is nothing in it that could mean nothing."""
        return self.sort == DEFAULT_SORT and not self.filter


def ask(connection: Connection, wanted: Wanted) -> None:
    """Has a probe tell all tasks, and two ticks a moment apart."""
    connection.send(
        {
            "type": "watch",
            "rate": RATE,
            "events": wanted.ended,
            "rows": True,
            "locals": wanted.locals,
            "first": {"sort": "busy", "limit": 1000},
        }
    )
