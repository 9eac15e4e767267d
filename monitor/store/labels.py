"""Formats lines of code, times, cancellers and reasons for display."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.store.cancel_text import named, words

if TYPE_CHECKING:
    from monitor.store.model import CancelledBy, GilHolder, Site
    from monitor.store.store import Store


def holder_text(holder: GilHolder) -> str:
    """Format who had the GIL: `thread crunch`, `thread crunch and 3 more`."""
    name = f"thread {holder.thread}" if holder.thread else "a thread"
    return f"{name} and {holder.threads - 1} more" if holder.threads > 1 else name


def when(at: float, store: Store) -> str:
    """Format a time as `3s ago`, or as a clock time if the store is stale: it would stay `3s ago` forever."""
    if store.stale:
        try:
            return time.strftime("%H:%M:%S", time.localtime(at))
        except (OverflowError, ValueError, OSError):  # outside the range of calendar times
            return fmt.UNKNOWN
    return f"{fmt.age(max(store.now - at, 0.0))} ago"


def site_text(site: Site | None, store: Store) -> str:
    """Format a site with its function: `app.py:12 spawn`."""
    if site is None:
        return fmt.UNKNOWN
    return fmt.place(site.file, site.line, site.function.rpartition(".")[2], store.roots)


def line_text(site: Site, store: Store) -> str:
    """Format a site as file and line: `app.py:12`."""
    return fmt.place(site.file, site.line, roots=store.roots)


def canceller_text(by: CancelledBy | None, store: Store) -> str:
    """Format a canceller: `by #7 refresh() at app.py:42`; empty if unknown."""
    return "" if by is None else words(named(by, store.title_of), store.roots)


REASONS = {
    "own": "own code",
    "io": "blocking calls",
    "gc": "garbage collection",
    "gil": "waiting for the GIL",
    "cpu": "waiting for a processor",
    "throttled": "throttled by a CPU quota",
    "import": "an import",
    "faults": "page faults",
}


def reasons_text(reasons: dict[str, float]) -> str:
    """Format where the time of a slow callback went, largest part first, without parts below 2 %."""
    whole = sum(reasons.values())
    parts = sorted(reasons.items(), key=lambda part: -part[1])
    return ", ".join(f"{REASONS[name]} {fmt.duration(took)}" for name, took in parts if took > whole / 50)
