"""Waits that the hooks in C note as they end (hooks/native/waits.c): whose, at which await stack, for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..hooks import install

if TYPE_CHECKING:
    from ..base.sites import Tables
    from ..hooks.records import TaskRecord

Wait = tuple["TaskRecord", tuple[int, ...], float]
"""The record of a task, the sites of its stack, outermost first, and seconds."""


class NotedWaits:
    """Nothing with hooks in Python, or without the step ring."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._stacks: dict[int, tuple[int, ...]] = {}

    def switch(self, on: bool) -> None:
        """Begins to note waits, or ends that."""
        self._stacks.clear()
        native: Any = install.native_state
        if native is not None:
            (native.waits_start if on else native.waits_stop)()

    def take(self) -> list[Wait]:
        """What was noted since the last call."""
        native: Any = install.native_state
        if native is None:
            return []
        return [(record, self._stack(native, number), seconds) for record, number, seconds in native.waits_take()]

    def _stack(self, native: Any, number: int) -> tuple[int, ...]:
        found = self._stacks.get(number)
        if found is None:
            sites = tuple(self._tables.site(code, line) for code, line in native.waits_stack(number))
            found = self._stacks[number] = sites
        return found
