"""Declares the columns of groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.store.column import Attribute, Column, figure
from monitor.store.labels import site_text

if TYPE_CHECKING:
    from monitor.store.label_groups import LabelGroup
    from monitor.store.store import Store

BAR = 8
_LETTERS = "█▓░"
"""Ran, queued, waited; their order tells them apart as well."""


def title(group: LabelGroup, store: Store) -> str:
    """The name of a group among others: its label or coroutine, or the line that creates its tasks."""
    return group.label or group.coro or site_text(group.site, store)


def bar(group: LabelGroup, width: int = BAR) -> str:
    """Draw a bar of ran, queued and waited; empty if nothing is known."""
    shares = group.parts()
    if not any(shares):
        return ""
    edges = [round(sum(shares[: place + 1]) * width) for place in range(3)]
    cells = [edges[0], edges[1] - edges[0], width - edges[1]]
    return "".join(letter * count for letter, count in zip(_LETTERS, cells, strict=True))


def _share(group: LabelGroup, place: int) -> float | None:
    return group.parts()[place] if any(group.parts()) else None


LABEL_GROUPS: tuple[Column[LabelGroup], ...] = (
    Column(
        "group",
        "Group",
        0,
        "what its tasks work on, as people call it (a route, an RPC method), else their coroutine; or who creates them",
        title,
        title,
        descending=False,
    ),
    figure("live", "Live", 6, "live tasks", fmt.count, lambda g, s: g.live),
    figure(
        "rate",
        "/s",
        6,
        "ends per second over the last 10 s watched; the other figures are since counting began",
        fmt.rate,
        lambda g, s: g.rate(s.now),
        unit="1/s",
    ),
    figure("failed", "Fail", 6, "tasks that failed", fmt.count, lambda g, s: g.failed),
    figure(
        "errors",
        "5xx",
        6,
        "responses with status 500 and above, where the server keeps the status",
        fmt.count,
        lambda g, s: g.known_errors,
        priority=5,
    ),
    figure(
        "p50",
        "p50",
        7,
        "age that half of the ended ones did not reach",
        fmt.duration,
        lambda g, s: g.age.at(0.5),
        unit="s",
    ),
    figure("p90", "p90", 7, "the same of 90 %", fmt.duration, lambda g, s: g.age.at(0.9), unit="s", priority=4),
    figure("p99", "p99", 7, "the same of 99 %", fmt.duration, lambda g, s: g.age.at(0.99), unit="s"),
    figure("max", "Max", 7, "age of the slowest", fmt.duration, lambda g, s: g.maximum(), unit="s", priority=3),
    Column(
        "time",
        "Time",
        BAR + 2,
        "where the time of the ended ones went: ran █, queued ▓, waited ░",
        lambda g, s: bar(g),
        None,
        priority=2,
    ),
    figure("ended", "Ended", 6, "tasks that ended", fmt.count, lambda g, s: g.ended, priority=3),
    Column(
        "coro", "Coroutine", 20, "their coroutine", lambda g, s: g.coro, Attribute("coro"), priority=6, descending=False
    ),
    figure("started", "Started", 7, "tasks that began", fmt.count, lambda g, s: g.started, priority=6),
    figure("cancelled", "Cancel", 6, "tasks that were cancelled", fmt.count, lambda g, s: g.cancelled, priority=5),
    figure(
        "total",
        "Total",
        7,
        "ages of the ended ones, together",
        fmt.duration,
        lambda g, s: g.sums[0],
        unit="s",
        priority=7,
    ),
    figure("ran", "Ran", 5, "share that ran", fmt.percent, lambda g, s: _share(g, 0), unit="0..1", priority=8),
    figure(
        "queued",
        "Queued",
        6,
        "share that was ready, behind others",
        fmt.percent,
        lambda g, s: _share(g, 1),
        unit="0..1",
        priority=8,
    ),
    figure("waited", "Waited", 6, "share that waited", fmt.percent, lambda g, s: _share(g, 2), unit="0..1", priority=8),
)
"""Percentiles are ages of ended tasks since counting began."""
