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
    timeline, tasks = trace.timeline, trace.store.tasks
    found = slowest(timeline, count, belongs, labelled=labelled)
    if not found:
        found = [
            life
            for life in timeline.lives.values()
            if life.ended is None
            and (life.steps or (belongs is not None and life.id in tasks))
            and (belongs is None or belongs(life))
        ]
        found.sort(key=lambda life: trace.born(life.id) or life.born or timeline.end)
    return [explain(timeline, life, trace.born(life.id), now=trace.waits_now(life.id)) for life in found[:count]]
