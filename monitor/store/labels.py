"""What tasks, lines of code and who cancelled are called for a person."""

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
"""Cells of a coroutine's name that keep its class before it."""

_GIVEN = re.compile(r"Task-\d+")


def called(name: str, coro: str) -> str:
    """What a task is called where there is no column for its coroutine: a name that asyncio gave says nothing."""
    if name and not _GIVEN.fullmatch(name):
        return name
    short = coro.rpartition("<locals>.")[2]
    short = short if len(short) <= SHORT_NAME else short.rpartition(".")[2]
    return f"{short}()" if short else name or fmt.UNKNOWN


def who(name: str | None, what: str | None) -> str:
    """Of whom an event tells: a task by its name or else its coroutine, or a callback. Empty: nobody knows."""
    if not name or not what:
        return name or what or ""
    return called(name, what.removesuffix("()"))


def holder_text(holder: GilHolder) -> str:
    """`thread crunch`, `thread crunch and 3 more`: who had the GIL."""
    name = f"thread {holder.thread}" if holder.thread else "a thread"
    return f"{name} and {holder.threads - 1} more" if holder.threads > 1 else name


def when(at: float, store: Store) -> str:
    """`3s ago`; by the clock where nothing comes any more: it would be `3s ago` for good."""
    if store.stale:
        try:
            return time.strftime("%H:%M:%S", time.localtime(at))
        except (OverflowError, ValueError, OSError):  # no time that a calendar knows
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
    """`by window-3 at app.py:42`; empty where it is not known."""
    return "" if by is None else words(by, store.roots)


REASONS = {
    "own": "own code",
    "io": "blocking calls",
    "gc": "garbage collection",
    "gil": "waiting for the GIL",
    "cpu": "waiting for a processor",
    "import": "an import",
}


def reasons_text(reasons: dict[str, float]) -> str:
    """Where the time of a slow callback went, the largest part first; parts below 2 % are left out."""
    whole = sum(reasons.values())
    parts = sorted(reasons.items(), key=lambda part: -part[1])
    return ", ".join(f"{REASONS[name]} {fmt.duration(took)}" for name, took in parts if took > whole / 50)
