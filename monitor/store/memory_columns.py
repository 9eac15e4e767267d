"""The columns of what grows, and of profiled functions: see `columns`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor import format as fmt
from monitor.store.columns import Column
from monitor.store.memory import MemoryRow, Profile

if TYPE_CHECKING:
    from monitor.store.model import Site
    from monitor.store.store import Store


def signed(size: float | None) -> str:
    """A difference: `+1.5KiB`."""
    return f"+{fmt.size(size)}" if size is not None and size > 0 else fmt.size(size)


def place(site: Site | None, store: Store) -> str:
    """A file and, where it is one, a line of it."""
    if site is None:
        return fmt.UNKNOWN
    roots = tuple(store.session.paths.get("path", [])) if store.session else ()
    file = fmt.short_path(site.file, roots)
    return f"{file}:{site.line}" if site.line else file


ObjectRow = tuple[str, int, int]
"""A type, how many live objects it has, and how many more than at the look before."""


def _mean(profile: Profile) -> float | None:
    return profile.elapsed / profile.calls if profile.calls else None


MEMORY: tuple[Column[MemoryRow], ...] = (
    Column(
        "size_diff",
        "Δ Size",
        9,
        "how much its blocks grew",
        lambda r, s: signed(r.size_diff),
        lambda r, s: abs(r.size_diff),
        unit="bytes",
        right=True,
    ),
    Column(
        "size",
        "Size",
        8,
        "size of its blocks",
        lambda r, s: fmt.size(r.size),
        lambda r, s: r.size,
        unit="bytes",
        right=True,
        priority=2,
    ),
    Column(
        "count_diff",
        "Δ Count",
        8,
        "how many blocks more",
        lambda r, s: f"+{fmt.count(r.count_diff)}" if r.count_diff > 0 else fmt.count(r.count_diff),
        lambda r, s: abs(r.count_diff),
        right=True,
        priority=2,
    ),
    Column(
        "count",
        "Count",
        7,
        "how many blocks",
        lambda r, s: fmt.count(r.count),
        lambda r, s: r.count,
        right=True,
        priority=4,
    ),
    Column(
        "growth",
        "Per min",
        9,
        "growth per minute",
        lambda r, s: signed(r.growth),
        lambda r, s: r.growth,
        unit="bytes/min",
        right=True,
        priority=3,
    ),
    Column(
        "site",
        "Allocated at",
        0,
        "the line that allocated",
        lambda r, s: place(r.site, s),
        lambda r, s: place(r.site, s),
        descending=False,
    ),
)

OBJECTS: tuple[Column[ObjectRow], ...] = (
    Column(
        "count_diff",
        "Δ Count",
        11,
        "how many more than at the look before",
        lambda r, s: f"{r[2]:+,}" if r[2] else "0",
        lambda r, s: r[2],
        right=True,
    ),
    Column("count", "Count", 11, "how many live", lambda r, s: f"{r[1]:,}", lambda r, s: r[1], right=True),
    Column("type", "Type", 0, "type of the objects", lambda r, s: r[0], lambda r, s: r[0], descending=False),
)

PROFILES: tuple[Column[Profile], ...] = (
    Column("function", "Function", 24, "what is decorated", lambda p, s: p.function, lambda p, s: p.function),
    Column("kind", "Kind", 6, "time or memory", lambda p, s: p.kind, lambda p, s: p.kind, descending=False),
    Column("calls", "Calls", 6, "calls so far", lambda p, s: fmt.count(p.calls), lambda p, s: p.calls, right=True),
    Column(
        "failed",
        "Failed",
        6,
        "calls that raised",
        lambda p, s: fmt.count(p.failed),
        lambda p, s: p.failed,
        right=True,
        priority=3,
    ),
    Column(
        "mean",
        "Mean",
        6,
        "mean time of a call",
        lambda p, s: fmt.duration(_mean(p)),
        lambda p, s: _mean(p),
        unit="s",
        right=True,
    ),
    Column(
        "longest",
        "Longest",
        7,
        "its longest call",
        lambda p, s: fmt.duration(p.longest),
        lambda p, s: p.longest,
        unit="s",
        right=True,
        priority=2,
    ),
    Column(
        "busy",
        "Busy",
        6,
        "time inside its steps, all calls",
        lambda p, s: fmt.duration(p.busy),
        lambda p, s: p.busy,
        unit="s",
        right=True,
        priority=2,
    ),
    Column(
        "size_diff",
        "Δ Size",
        9,
        "how much its calls made memory grow",
        lambda p, s: "" if p.size_diff is None else signed(p.size_diff),
        lambda p, s: p.size_diff,
        unit="bytes",
        right=True,
        priority=2,
    ),
    Column("site", "Defined at", 0, "its first line", lambda p, s: place(p.site, s), lambda p, s: place(p.site, s)),
)
