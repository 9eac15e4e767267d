"""Histograms by powers of two: a chart of a few lines, with percentiles estimated from the buckets. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.tui.base.paint import BLANK, Line, line
from monitor.tui.widgets.spark import BLOCKS

if TYPE_CHECKING:
    from collections.abc import Sequence

PERCENTILES = (0.5, 0.9, 0.99)


def bounds(bucket: int) -> tuple[float, float]:
    """The range of a bucket in seconds: bucket n holds [2^(n-1), 2^n) µs, bucket 0 anything below 1 µs."""
    return (0.0 if bucket == 0 else 2.0 ** (bucket - 1) * 1e-6, 2.0**bucket * 1e-6)


def percentile(counts: Sequence[int], share: float, longest: float | None = None) -> float | None:
    """Estimates a percentile by linear interpolation within its bucket."""
    total = sum(counts)
    if total == 0:
        return None
    wanted = share * total
    seen = 0
    for bucket, count in enumerate(counts):
        if count and seen + count >= wanted:
            low, high = bounds(bucket)
            value = low + (high - low) * max(wanted - seen, 0) / count
            return value if longest is None else min(value, longest)
        seen += count
    return longest


def chart(
    title: str, counts: Sequence[int] | None, cells: int, longest: float | None = None, rows: int = 4
) -> list[Line]:
    """A titled chart with percentiles, `cells` wide: at least one column per bucket, with a scale below."""
    if counts is None:
        return _nothing(title, "no data yet", rows)
    total = sum(counts)
    if total == 0:
        return _nothing(title, "no data yet", rows)
    used = [number for number, count in enumerate(counts) if count]
    top = min(longest or bounds(used[-1])[1], bounds(used[-1])[1])
    first, last = max(used[0] - 1, 0), min(used[-1] + 1, len(counts) - 1)
    each = max(min((cells - 8) // (last - first + 1), 6), 1)
    shown = [counts[number] for number in range(first, last + 1)]
    figures = "  ".join(f"p{share * 100:.0f} ≈{fmt.duration(percentile(counts, share, top))}" for share in PERCENTILES)
    most = f"  max {'<' if longest is None else ''}{fmt.duration(top)}"
    lines = [line((title, "heading"), (f"  {fmt.count(total)}", "dim"), (most, "text")), line((figures, "text"))]
    lines += _bars(shown, each, rows)
    lines.append(_scale(first, len(shown), each))
    return lines


def _nothing(title: str, why: str, rows: int) -> list[Line]:
    """An empty chart of the same height, so that nothing jumps when data comes."""
    return [line((title, "heading")), line((why, "dim")), *[BLANK] * (rows + 1)]


def _bars(shown: Sequence[int], each: int, rows: int) -> list[Line]:
    """The bars from the top row down; a non-empty bucket shows at least the lowest block."""
    most = max(shown)
    heights = [0 if not count else max(round(count / most * rows * 8), 1) for count in shown]
    lines = []
    for row in range(rows - 1, -1, -1):
        text = ""
        for height in heights:
            filled = min(max(height - row * 8, 0), 8)
            text += (" " if filled == 0 else BLOCKS[filled - 1]) * each
        label = fmt.count(most) if row == rows - 1 else ""
        lines.append(line((f"{label:>6} ", "dim"), (text, "bar")))
    return lines


def _scale(first: int, number: int, each: int) -> Line:
    """Labels for the lower bounds of buckets, as many as fit."""
    text = ""
    for offset in range(number):
        place = offset * each
        label = _short(bounds(first + offset)[0])
        if not text or len(text) + 2 <= place:
            text = text.ljust(place) + label
    return line(("       ", "dim"), (text, "dim")) if text else BLANK


def _short(seconds: float) -> str:
    """A rounded label: `16ms` for 16.384 ms."""
    if seconds < 0.9e-3:
        return f"{seconds * 1e6:.0f}µs" if seconds else "0"
    return f"{seconds * 1e3:.0f}ms" if seconds < 0.9 else f"{seconds:.0f}s"
