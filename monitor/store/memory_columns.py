"""Declares the columns of memory growth and of profiled functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.store.column import Column, figure
from monitor.store.labels import line_text
from monitor.store.memory import MemoryRow, Profile

if TYPE_CHECKING:
    from monitor.protocol.memory_frames import ObjectsRow
    from monitor.store.model import Site
    from monitor.store.store import Store


def signed(size: float | None) -> str:
    """Format a difference in bytes with its sign: `+1.5KiB`."""
    return f"+{fmt.size(size)}" if size is not None and size > 0 else fmt.size(size)


def place(site: Site | None, store: Store) -> str:
    """Format a place: a file and, if it is one line, the line."""
    return fmt.UNKNOWN if site is None else line_text(site, store)


def _mean(profile: Profile, _store: Store) -> float | None:
    return profile.elapsed / profile.calls if profile.calls else None


MEMORY: tuple[Column[MemoryRow], ...] = (
    Column(
        "size_diff",
        "Δ Size",
        9,
        "change in size of its blocks",
        lambda r, s: signed(r.size_diff),
        lambda r, s: abs(r.size_diff),
        unit="bytes",
        right=True,
    ),
    figure("size", "Size", 8, "size of its blocks", fmt.size, lambda r, s: r.size, unit="bytes", priority=2),
    Column(
        "count_diff",
        "Δ Count",
        8,
        "change in the number of blocks",
        lambda r, s: f"+{fmt.count(r.count_diff)}" if r.count_diff > 0 else fmt.count(r.count_diff),
        lambda r, s: abs(r.count_diff),
        right=True,
        priority=2,
    ),
    figure("count", "Count", 7, "how many blocks", fmt.count, lambda r, s: r.count, priority=4),
    figure("growth", "Per min", 9, "growth per minute", signed, lambda r, s: r.growth, unit="bytes/min", priority=3),
    Column(
        "site",
        "Allocated at",
        0,
        "line that allocated the blocks",
        lambda r, s: place(r.site, s),
        lambda r, s: place(r.site, s),
        descending=False,
    ),
)

OBJECTS: tuple[Column[ObjectsRow], ...] = (
    Column(
        "count_diff",
        "Δ Count",
        11,
        "change since the previous count",
        lambda r, s: f"{r.count_diff:+,}" if r.count_diff else "0",
        lambda r, s: r.count_diff,
        right=True,
    ),
    Column("count", "Count", 11, "how many live", lambda r, s: f"{r.count:,}", lambda r, s: r.count, right=True),
    Column("type", "Type", 0, "type of the objects", lambda r, s: r.name, lambda r, s: r.name, descending=False),
)

PROFILES: tuple[Column[Profile], ...] = (
    Column("function", "Function", 24, "what is decorated", lambda p, s: p.function, lambda p, s: p.function),
    Column("kind", "Kind", 6, "time or memory", lambda p, s: p.kind, lambda p, s: p.kind, descending=False),
    figure("calls", "Calls", 6, "calls so far", fmt.count, lambda p, s: p.calls),
    figure("failed", "Failed", 6, "calls that raised", fmt.count, lambda p, s: p.failed, priority=3),
    figure("mean", "Mean", 6, "mean time of a call", fmt.duration, _mean, unit="s"),
    figure("longest", "Longest", 7, "its longest call", fmt.duration, lambda p, s: p.longest, unit="s", priority=2),
    figure(
        "busy", "Busy", 6, "time inside its steps, all calls", fmt.duration, lambda p, s: p.busy, unit="s", priority=2
    ),
    Column(
        "size_diff",
        "Δ Size",
        9,
        "memory growth during its calls",
        lambda p, s: "" if p.size_diff is None else signed(p.size_diff),
        lambda p, s: p.size_diff,
        unit="bytes",
        right=True,
        priority=2,
    ),
    Column("site", "Defined at", 0, "its first line", lambda p, s: place(p.site, s), lambda p, s: place(p.site, s)),
)
