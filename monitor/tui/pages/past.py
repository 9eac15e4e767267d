"""The page of the past: charts of the last ten minutes or six hours, with events on the same time axis."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.store import past
from monitor.store.labels import site_text
from monitor.store.task_names import title_of, who
from monitor.tui.base.paint import BLANK, Line, Part, line
from monitor.tui.base.theme import delay_style, load_style
from monitor.tui.widgets import spark

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from monitor.store.store import Store

    Values = list[int | None]

TITLE = 14
FIGURE = 9
SPANS = (600.0, 6 * 3600.0)
MOST_EVENTS = 200


def past_page(store: Store, span: float, slow: float, cells: int) -> list[Line]:
    """Builds charts over one time axis with slow callbacks and failures marked, and a list of these below."""
    session = store.session
    if session is None or "history" not in session.capabilities:
        lines = [line(("This probe remembers nothing from before its first viewer.", "warn"))]
        if session is not None:
            lines.append(line((f"Its hooks: {session.hooks}; the setting history must be on, too.", "dim")))
        return lines
    step = past.FINE if span <= SPANS[0] else past.COARSE
    process = store.past.of(past.PROCESS, step)
    width = max(cells - TITLE - FIGURE - 1, 10)
    end = store.now if process is None else max(process.end, store.now)
    begin, seconds = end - span, span / width
    since = max(begin, session.counted or begin)
    lines = [
        line(
            (f"The last {fmt.age(span)}", "heading"),
            (f"  since {_clock(since)}, {fmt.age(max(end - since, 0.0))} of it are known", "dim"),
        ),
        BLANK,
    ]
    for number in store.past.loops()[:4]:
        figures = store.past.of(number, step)
        if figures is None:
            continue
        lag = figures.fold("lag", begin, width, seconds, max)
        load = figures.fold("utilization", begin, width, seconds, _mean)
        mark = f" {number}" if len(store.past.loops()) > 1 else ""
        lines.append(_chart(f"lag{mark}", lag, _lag_share, lambda us: delay_style(us * 1e-6, slow), _duration))
        lines.append(_chart(f"utilization{mark}", load, lambda v: v / 1000, lambda v: load_style(v / 1000), _permille))
    if process is not None:
        for title, column, by, text in (
            ("tasks", "tasks" if "tasks" in process.columns else "waiting", max, fmt.count),  # older recordings
            ("ends/s", "ends", _mean, fmt.count),
            ("failures/s", "failures", max, fmt.count),
            ("cpu", "cpu", _mean, _permille),
            ("rss", "rss", max, _kib),
            ("gc pause", "gc_longest", max, _duration),
        ):
            values = process.fold(column, begin, width, seconds, by)
            most = max((value for value in values if value is not None), default=0)
            lines.append(_chart(title, values, _share_of(most), lambda _: "bar", text))
    lines += [_marks(store, begin, width, seconds), _axis(begin, width, seconds), BLANK]
    return lines + _events(store, begin, cells)


def _share_of(most: int) -> Callable[[int], float]:
    return lambda value: value / most if most else 0.0


def _chart(
    title: str,
    values: Values,
    share: Callable[[int], float],
    style: Callable[[int], str],
    text: Callable[[int], str],
) -> Line:
    """Draws one chart as a row of blocks, with its maximum at the right."""
    parts: list[Part] = [(f" {title:<{TITLE - 1}}", "dim")]
    for value in values:
        part: Part = (" ", "text")
        if value is not None:
            name = style(value)
            part = (spark.BLOCKS[spark.level(share(value))], "bar" if name in ("text", "faint") else name)
        if parts[-1][1] == part[1] and len(parts) > 1:
            parts[-1] = (parts[-1][0] + part[0], part[1])
        else:
            parts.append(part)
    known = [value for value in values if value is not None]
    parts.append((f" {text(max(known)) if known else fmt.UNKNOWN:>{FIGURE - 1}}", "text"))
    return line(*parts)


def _marks(store: Store, begin: float, width: int, seconds: float) -> Line:
    """Draws the marks of slow callbacks and failures."""
    marks: dict[int, Part] = {}
    for ended in store.ended:
        if ended.outcome == "failed":
            marks[int((ended.ended - begin) / seconds)] = ("✗", "bad")
    for slow in store.slow.entries:
        marks[int((slow.at - begin) / seconds)] = ("▲", "warn")
    parts: list[Part] = [(f" {'▲ slow ✗ fail':<{TITLE - 1}}", "dim")]
    parts += [marks.get(cell, (" ", "text")) for cell in range(width)]
    return line(*parts)


def _axis(begin: float, width: int, seconds: float) -> Line:
    """Draws clock times, about twenty cells apart."""
    text = ""
    while len(text) < width:
        text += f"{'└' + _clock(begin + len(text) * seconds):<20}"
    return line((" " * TITLE + text[:width], "faint"))


def _events(store: Store, begin: float, cells: int) -> list[Line]:
    """Lists slow callbacks and failures, newest first."""
    found: list[tuple[float, Line]] = []
    for slow in store.slow.entries:
        if slow.at >= begin:
            what = who(slow.task, slow.name, slow.callback, slow.label)
            where = f"  {site_text(slow.line, store)}" if slow.line is not None else ""
            figure = fmt.bound(slow.duration, slow.at_least)
            text = f"{_clock(slow.at)}  {figure:>8}  {what}{where}"
            found.append((slow.at, line((" ▲ ", "warn"), (text[: cells - 4], "text"))))
    for ended in store.ended:
        if ended.outcome == "failed" and ended.ended >= begin:
            why = ended.failure.text if ended.failure is not None else ""
            text = f"{_clock(ended.ended)}    failed  {title_of(ended)}  {why}"
            target = ("task", ended.id) if ended.id else None
            found.append((ended.ended, line((" ✗ ", "bad"), (text[: cells - 4], "text"), target=target)))
    found.sort(key=lambda pair: pair[0], reverse=True)
    if not found:
        return [line((" Nothing was slow or failed in this time.", "dim"))]
    return [entry for _, entry in found[:MOST_EVENTS]]


def _mean(values: Sequence[int]) -> int:
    return round(sum(values) / len(values))


def _lag_share(us: int) -> float:
    return spark.lag_share(us * 1e-6)


def _duration(us: int) -> str:
    return fmt.duration(us * 1e-6)


def _permille(value: int) -> str:
    return fmt.percent(value / 1000)


def _kib(value: int) -> str:
    return fmt.size(value << 10)


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))
