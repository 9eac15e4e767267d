"""Formats names of tasks, lines of code and cancellers for display."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.store.cancel_text import words

if TYPE_CHECKING:
    from monitor.store.model import CancelledBy, GilHolder, Site
    from monitor.store.store import Store

SHORT_NAME = 16
"""Longest name of a coroutine, in cells, that is shown with its class."""

_GIVEN = re.compile(r"Task-\d+")


def is_given(name: str) -> bool:
    """Whether the program gave a task its name. Those of asyncio, such as Task-7, are not the ids shown."""
    return bool(name) and not _GIVEN.fullmatch(name)


def name_or_id(name: str | None, task: int | None) -> str | None:
    """Name a task among others of its kind, of which some may be known by their ids only."""
    return name if name is None or task is None or is_given(name) else f"task {task}"


def called(name: str, coro: str) -> str:
    """Name a task where no column shows its coroutine: names given by asyncio, such as Task-7, are replaced by it."""
    if is_given(name):
        return name
    short = coro.rpartition("<locals>.")[2]
    short = short if len(short) <= SHORT_NAME else short.rpartition(".")[2]
    return f"{short}()" if short else name or fmt.UNKNOWN


def named(name: str | None, coro: str, label: str | None) -> str:
    """Name a task in a sentence: `handle() GET /orders`; empty if nothing is known of it."""
    words = called(name or "", coro) if name or coro else ""
    return " ".join(filter(None, (words, label)))


def who(name: str | None, what: str | None) -> str:
    """Name the subject of an event: the task's name or coroutine, or the callback. Empty if unknown."""
    if not name or not what:
        return name or what or ""
    return called(name, what.removesuffix("()"))


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
    """Format a canceller: `by window-3 at app.py:42`; empty if unknown."""
    return "" if by is None else words(by, store.roots)


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
