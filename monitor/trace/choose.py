"""Chooses the tasks to explain: the slowest that ended, or where none did the oldest live ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.trace.explain import explain, slowest

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.trace.collect import Trace
    from monitor.trace.explain import Reason
    from monitor.trace.timeline import Life


def explain_slowest(
    trace: Trace, count: int, belongs: Callable[[Life], bool] | None = None, *, labelled: bool = False
) -> list[Reason]:
    """Explain the slowest tasks that ended; if none did, the oldest live ones.

    `belongs`: which tasks are asked for: of these a live one counts without a step of its own as well. `labelled`: only
    tasks with a label, if any of them ended.
    """
    found = slowest(trace.timeline, count, belongs, labelled=labelled) or oldest_live(trace, belongs)
    return [explain(trace.timeline, life, trace.born(life.id), now=trace.waits_now(life.id)) for life in found[:count]]


def oldest_live(trace: Trace, belongs: Callable[[Life], bool] | None = None) -> list[Life]:
    """Return the live tasks, the oldest first; `belongs` as above."""
    tasks = trace.store.tasks
    found = [
        life
        for life in trace.timeline.lives.values()
        if life.ended is None
        and (life.steps or (belongs is not None and life.id in tasks))
        and (belongs is None or belongs(life))
    ]
    # Those whose birth is not known are older than the probe or than the ring.
    found.sort(key=lambda life: (trace.born(life.id) or life.born or 0, life.id))
    return found
