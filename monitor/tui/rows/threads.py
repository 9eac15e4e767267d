"""The rows of the Threads screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.store.threads import THREADS, Thread
from monitor.tui.rows.base import SearchedRows

if TYPE_CHECKING:
    from collections.abc import Hashable

BUSY = 0.5
"""Share of a processor above which a thread is highlighted."""


class ThreadRows(SearchedRows[Thread]):
    """The threads of the program, without those of the probe."""

    columns = THREADS
    default_sort = "cpu"

    def choose(self) -> list[Thread]:
        """All threads that match the filter."""
        return self.search(list(self.store.threads.rows))

    def key_of(self, row: Thread) -> Hashable:
        """The number that the kernel has for it."""
        return row.facts.native

    def style(self, row: Thread, key: str) -> str:
        """Highlights what is busy."""
        return thread_style(row, key)


def thread_style(row: Thread, key: str) -> str:
    """The style of a cell of the table of threads."""
    match key:
        case "cpu" if (row.cpu or 0.0) >= BUSY:
            return "warn"
        case "name":
            return "strong" if row.loop is not None or row.facts.job is not None else "text"
        case "state":
            return "text" if row.facts.state == "running" else "dim"
        case "native" | "queued" | "gil":
            return "dim"
        case _:
            return "text"
