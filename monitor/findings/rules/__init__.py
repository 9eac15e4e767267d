"""The rules. Each reads the store and yields what it observes; rules with state are created anew for each session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.findings.model import Observation
from monitor.findings.rules import cancelled, events, growth, load, responses, shared, stuck
from monitor.findings.thresholds import Thresholds
from monitor.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def rules() -> list[Callable[[Store, Thresholds], Iterator[Observation]]]:
    """All rules, in their initial state."""
    return [
        load.Blocked(),
        load.GilWaits(),
        load.BusyTasks(),
        load.BusyLoops(),
        growth.SlowTasks(),
        growth.Tasks(),
        growth.Queues(),
        growth.Timers(),
        growth.Memory(),
        growth.StandsHigh(),
        responses.FailingRoutes(),
        events.Unhandled(),
        events.NeverAwaited(),
        events.SemaphoreErrors(),
        cancelled.CancelledWithAwaited(),
        cancelled.mass,
        shared.deadlocks,
        shared.convoys,
        shared.SemaphoreConvoys(),
        stuck.stuck,
        stuck.failures,
        shared.executors,
        shared.swallowed_cancels,
        shared.Semaphores(),
    ]
