"""The `process` and `probe` objects of a tick: the process as the system sees it, and what the probe costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base import process
from ..hooks import install
from ..sampling import gc_pauses
from ..sampling.rows import microseconds

if TYPE_CHECKING:
    from ..hooks.registry import Registry
    from ..sampling.counting import Counting
    from ..sampling.events import Events
    from .connection import Viewer


class Facts:
    """Figures that are the same for every viewer, except for the events that one has missed."""

    def __init__(self, counting: Counting, events: Events, registry: Registry, viewers: list[Viewer]) -> None:
        self._counting = counting
        self._events = events
        self._registry = registry
        self._viewers = viewers

    def process(self, histograms: bool) -> dict[str, Any]:
        """The `process` of a tick; `histograms`: with those of garbage collections. Each read gives up the GIL, so the
        watchdog looks after each.
        """
        woken = self._counting.woken
        facts: dict[str, Any] = {"rss": process.resident()}
        woken()
        facts["cpu"] = round(process.cpu_time() * 1e6)
        facts["threads"] = process.threads()
        woken()
        facts["fds"] = process.descriptors()
        facts["fds_most"] = process.most_descriptors()
        facts["gc"] = self._collections(histograms)
        woken()
        return facts

    @staticmethod
    def _collections(histograms: bool) -> list[list[Any]]:
        """For each generation, the youngest first: runs, objects collected and uncollectable, then time and histogram
        if they are known."""
        rows: list[list[Any]] = [[*row] for row in process.collections()]
        for row, (seconds, times) in zip(rows, gc_pauses.by_generation(), strict=False):
            row.append(microseconds(seconds))
            if histograms:
                row.append(times)
        return rows

    def probe(self, missed: int) -> dict[str, Any]:
        """The `probe` of a tick; `missed` is the number of events that one viewer has missed."""
        events = self._events
        return {
            "cpu": round(self._counting.cpu_time() * 1e6),
            "hooks": round(self._counting.hook_time() * 1e6),
            "viewers": len(self._viewers),
            "tasks": len(install.records),
            "dropped": events.dropped + missed,
            "dropped_at": events.dropped_at,
            "unnamed": events.unnamed,
            "off": [f"{name}: {why}"[:300] for name, why in list(self._registry.failed.items())],
        }
