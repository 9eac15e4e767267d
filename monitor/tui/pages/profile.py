"""The page of one profiled function: totals, a histogram, and its most recent calls."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.store.memory_columns import place, signed
from monitor.tui.base.paint import BLANK, Line, Part, line
from monitor.tui.base.theme import STATE_STYLES
from monitor.tui.pages.stacks import heading
from monitor.tui.widgets.histogram import chart
from monitor.tui.widgets.spark import bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.store.memory import Profile, ProfiledCall
    from monitor.store.store import Store
    from monitor.tui.widgets.source_view import Sources

BAR = 12
BUCKETS = 40
MOST_ROWS = 3
ORDERS = {"newest": "newest first", "longest": "longest first", "size": "largest growth first"}


def profile_page(store: Store, profile: Profile, sources: Sources, cells: int, order: str) -> list[Line]:
    """Builds the page of one profiled function."""
    lines = [
        line((profile.function, "strong"), (f"  {profile.shape}, profiled for {profile.kind}", "dim")),
        line(("defined at ", "dim"), (place(profile.site, store), "text"), (f"  in {profile.module}", "dim")),
        BLANK,
        *_totals(profile),
        BLANK,
    ]
    if profile.recent:
        counts = buckets([call.elapsed for call in profile.recent])
        lines += chart("Elapsed", counts, min(cells, 76), profile.longest, 3)
        lines.append(BLANK)
    if profile.site is not None and profile.site.line:
        lines += [*sources.around(profile.site.file, profile.site.line, 1, 4), BLANK]
    return lines + _calls(store, profile, cells, order)


def buckets(seconds: Sequence[float]) -> list[int]:
    """Counts durations in buckets by powers of two microseconds, as the probe counts steps."""
    counts = [0] * BUCKETS
    for value in seconds:
        counts[min(int(value * 1e6).bit_length(), BUCKETS - 1)] += 1
    return counts


def _totals(profile: Profile) -> list[Line]:
    mean = profile.elapsed / profile.calls if profile.calls else None

    def row(*pairs: tuple[str, str, str]) -> Line:
        return line(*[p for title, text, style in pairs for p in ((f"{title:<11}", "dim"), (f"{text:<14}", style))])

    lines = [
        row(
            ("calls", fmt.count(profile.calls), "strong"),
            ("running", fmt.count(profile.running), "text"),
            ("failed", fmt.count(profile.failed), "bad" if profile.failed else "text"),
        ),
        row(
            ("mean", fmt.duration(mean), "strong"),
            ("longest", fmt.duration(profile.longest), "text"),
            ("cancelled", fmt.count(profile.cancelled), "text"),
        ),
        row(
            ("elapsed", fmt.duration(profile.elapsed), "text"),
            ("busy", fmt.duration(profile.busy), "text"),
            ("steps", fmt.count(profile.steps), "text"),
        ),
    ]
    if profile.size_diff is not None:
        kind = "" if profile.key_type is None else f"by {profile.key_type}{', cumulative' * profile.cumulative}"
        lines.append(row(("grew by", signed(profile.size_diff), "warn" if profile.size_diff > 0 else "text"),
                         ("compared", kind or "traced total", "text")))  # fmt: skip
    return lines


def _calls(store: Store, profile: Profile, cells: int, order: str) -> list[Line]:
    calls = list(profile.recent)
    calls.reverse()
    if order == "longest":
        calls.sort(key=lambda call: -call.elapsed)
    elif order == "size":
        calls.sort(key=lambda call: -abs(call.size_diff or 0))
    kept = f"{len(calls)} of {profile.calls}" if profile.calls > len(calls) else str(len(calls))
    lines = [heading(f"Calls ({kept})", cells, f"{ORDERS[order]}; d chooses another order")]
    if not calls:
        waits = "no call has ended so far" if not profile.calls else "asking …"
        return [*lines, line((waits, "dim"))]
    sized = profile.kind == "memory"
    growth = f"{'grew by':>10}" if sized else ""
    lines.append(line((f"{'began':>12}  {'elapsed':>7} {'':<{BAR}} {'busy':>7} {'steps':>6}{growth}  outcome", "dim")))
    longest = max(call.elapsed for call in calls) or 1.0
    for call in calls:
        lines.append(_call(call, longest, sized))
        lines += [
            line((" " * 14, "text"), (f"{signed(row.size_diff):>9} ", "warn"), (place(row.site, store), "dim"))
            for row in call.rows[:MOST_ROWS]
        ]
    return lines


def _call(call: ProfiledCall, longest: float, sized: bool) -> Line:
    clock = time.strftime("%H:%M:%S", time.localtime(call.at)) + f".{int(call.at * 1000) % 1000:03d}"
    style = STATE_STYLES.get(call.outcome, "good" if call.outcome in ("returned", "done") else "bad")
    growth: tuple[Part, ...] = ((f"{signed(call.size_diff):>10}", "text"),) if sized else ()
    return line(
        (f"{clock:>12}  ", "dim"),
        (f"{fmt.duration(call.elapsed):>7} ", "text"),
        (bar(call.elapsed / longest, BAR), "bar"),
        (f" {fmt.duration(call.busy):>7} {fmt.count(call.steps):>6}", "dim"),
        *growth,
        (f"  {call.outcome}", style),
    )
