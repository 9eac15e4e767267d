"""Collects samples of what loops run and stacks of waiting tasks, as viewers ask."""

from __future__ import annotations

from _thread import start_new_thread
from typing import TYPE_CHECKING

from ..hooks import install
from . import jobs, waiting
from .askers import Askers
from .on_loop import Drained, OnLoop
from .waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..base.sites import Tables
    from ..hooks.records import TaskRecord
    from ..sampling.sampler import Changes
    from .waiting import Key

PERIOD = 1.0
"""Seconds of waiting per report."""


class Flames:
    """Used by the probe's thread."""

    def __init__(self, tables: Tables, find: Callable[[int], TaskRecord | None]) -> None:
        """`find`: the record of a live task by its id."""
        askers = Askers(tables, find)
        self.on_loop = OnLoop(tables, askers)
        self.waiting = Waiting(tables, askers)
        self._waits_due = 0.0

    @property
    def why_not(self) -> str:
        """Why the loops are not sampled although a viewer asked for it; empty if they are."""
        return self.on_loop.why_not

    def adapt(self, hz: int, *, jobs: bool, wait: bool, by_task: bool) -> None:
        """Collects what the most demanding viewer asks for; nothing for 0 and False."""
        self.waiting.by_task = by_task
        self.on_loop.sample(hz, start_new_thread, jobs=jobs)
        self.waiting.switch(wait, install.walk(install.records) if wait and not self.waiting.on else ())

    def collect(self, now: float, changes: Changes) -> tuple[Drained | None, dict[Key, tuple[int, int]]]:
        """Samples since the last call, and waits of tasks: microseconds, and tasks waiting there now."""
        drained = self.on_loop.look(changes.ended)
        self.on_loop.restart_if_full(start_new_thread)
        waits: dict[Key, tuple[int, int]] = {}
        if self.waiting.on:
            self.waiting.merge(changes)
            self.waiting.look(now)
            if now >= self._waits_due:
                self._waits_due = now + PERIOD
                waits = self.waiting.take(now)
        return drained, waits

    def longest_without_sample(self) -> float | None:
        """Longest interval between two calls of `collect` in seconds; None for the usual one."""
        return waiting.EVERY if self.waiting.on else jobs.EVERY if self.on_loop.follows_jobs else None

    def forked(self) -> None:
        """Forgets the threads in a child after a fork, which has none of them."""
        self.on_loop.forked()
        self.waiting.switch(False)
