"""Counting: whether the step hooks are in and the watchdog runs, and collecting what they recorded.

Decides nothing itself: `serving/demand.py` knows whether anybody needs counting, and `probe.py` switches it.
"""

from __future__ import annotations

import os
from _thread import start_new_thread
from time import monotonic, thread_time
from typing import TYPE_CHECKING

from ..base import local_values
from ..hooks import cancellation, install
from . import gc_pauses

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..hooks.loops import Loops
    from ..hooks.registry import Registry
    from ..hooks.unawaited import UnawaitedCoroutines
    from .events import Events
    from .sampler import Changes, Sampler
    from .watchdog import Watchdog

_LONGEST_WITHOUT_LOOK = 0.25
_LONGEST_UNWATCHED = 1.0
_PRUNE_EVERY = 10.0
"""Seconds. While nothing is counted, records of dead tasks stay until pruned, or until their address is used again."""


class Counting:
    """Switches counting on and off. Used by the probe's thread."""

    def __init__(
        self,
        registry: Registry,
        loops: Loops,
        sampler: Sampler,
        watchdog: Watchdog,
        events: Events,
        unawaited: UnawaitedCoroutines,
    ) -> None:
        self._registry = registry
        self._loops = loops
        self._sampler = sampler
        self._watchdog = watchdog
        self._events = events
        self._unawaited = unawaited
        self._pid = os.getpid()
        self._hook_cost = 0.0
        self._cpu = 0.0
        self._next_look = 0.0
        self.next_prune = 0.0
        self.prune_every = _PRUNE_EVERY
        self.longest_without_sample = _LONGEST_WITHOUT_LOOK
        self.longest_unwatched = _LONGEST_UNWATCHED
        self._watched = False
        self.since: float | None = None
        """When counting began, in seconds of the monotonic clock; None while nothing is counted."""

    @property
    def on(self) -> bool:
        """Whether steps are counted now."""
        return install.state.watching

    def start(self) -> None:
        """Puts the step hooks in and starts the watchdog; does nothing if that is done, or in a forked child."""
        if self.on or self._pid != os.getpid():
            return
        self.since = monotonic()
        self._sampler.start_counting()
        install.state.watching = True
        self._loops.watch()
        gc_pauses.start()
        if not self._hook_cost:
            self._hook_cost = install.cost_of_a_step()
        try:
            self._watchdog.start(start_new_thread)
        except RuntimeError as error:  # the program has as many threads as it may
            self._registry.fail("watchdog", error)
        self._guarded(self._watchdog.check)  # for the first tick of a viewer

    def attend(self, watched: bool) -> None:
        """Looks as often as viewers need, or as seldom as suffices while nobody is connected."""
        first = watched and not self._watched
        self._watched = self._watchdog.watched = self._sampler.watched = watched
        if self.on:
            self._watchdog.hurry()
        if first and self.on:
            self._next_look = 0.0
            self._guarded(self._watchdog.check)

    def stop(self) -> None:
        """Takes the step hooks out and ends the watchdog."""
        if not self.on:
            return
        self.since = None
        self._watchdog.stop()
        gc_pauses.stop()
        self._loops.unwatch()
        install.state.watching = False
        install.state.origin_depth = 0
        local_values.wanted = False
        install.changed.clear()
        cancellation.clear()

    def woken(self) -> None:
        """The probe's thread has the GIL again; perhaps a call that held it has just returned (see watchdog.py)."""
        if self.on:
            self._guarded(self._watchdog.check_if_late)

    def check_threads(self) -> None:
        """Lets the watchdog look now, out of turn."""
        self._guarded(self._watchdog.check)

    def _guarded(self, check: Callable[[], None]) -> None:
        try:
            check()
        except Exception as error:
            self._registry.fail("watchdog", error)

    def due(self) -> float:
        """When `collect` must be called (while counting) or `prune`, in seconds of the monotonic clock.

        Also for viewers that are slow or do not read: what the hooks record is bounded.
        """
        return self._next_look if self.on else self.next_prune

    def collect(self, now: float, longest: float | None = None) -> Changes:
        """Takes what hooks and watchdog recorded since the last call; the next is due in `longest` seconds."""
        if self._watched:
            self._next_look = now + min(self.longest_without_sample, longest or self.longest_without_sample)
        else:  # at the turn of a second, so that no row of the history is late
            self._next_look = int(now) + self.longest_unwatched
        self.collect_events()
        changes = self._sampler.sample()
        while self._watchdog.caught:
            self._events.slow_callback(self._watchdog.caught.popleft())
        return changes

    def collect_events(self) -> None:
        """Writes events that happen whether steps are counted or not: notices, coroutines that were never awaited."""
        self._events.write_down()
        while self._unawaited.found:
            self._events.unawaited(self._unawaited.found.pop(0))
        if self._unawaited.lost:
            self._events.drop(self._unawaited.lost)
            self._unawaited.lost = 0

    def prune_if_due(self, now: float) -> None:
        """Forgets the records of dead tasks while nothing is counted."""
        if now >= self.next_prune:
            self.next_prune = now + self.prune_every
            self._sampler.prune()

    def totals(self) -> tuple[int, float]:
        """Steps and busy time (s) of all loops since counting began."""
        records = [record for _, record in self._loops.all()]
        return sum(record.steps for record in records), sum(record.busy for record in records)

    def note_cpu(self, others: float = 0.0) -> None:
        """Reads what this thread, the probe's, has cost so far; `others` are seconds of further threads of it."""
        self._cpu = thread_time() + others

    def cpu_time(self) -> float:
        """Seconds of CPU of the probe's threads."""
        return self._cpu + self._watchdog.cpu

    def hook_time(self) -> float:
        """Seconds that the hooks added to the steps counted so far, by the cost of one step measured at the start."""
        steps = sum(record.steps for _, record in self._loops.all())
        return steps * self._hook_cost

    def forget(self) -> None:
        """Empties every table of the hooks: the probe leaves."""
        gc_pauses.stop()
        install.forget_all()
        self._sampler.forget()
