"""The page of one group."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.store.columns import wait_text
from monitor.store.group_columns import bar as time_bar
from monitor.store.group_columns import title
from monitor.store.label_groups import LOOKS, PARTS, LabelGroup, middle
from monitor.store.labels import site_text, when
from monitor.store.store import Store
from monitor.tui.base.paint import BLANK, Line, line
from monitor.tui.pages.stacks import heading
from monitor.tui.widgets.spark import bar

if TYPE_CHECKING:
    from collections.abc import Iterator

BAR = 30
SHORT_BAR = 16
SHADES = " ░▒▓█"
MOST = 10


def group_page(store: Store, group: LabelGroup, cells: int) -> list[Line]:
    """Builds the page: totals, where the time went, a histogram of ages, the slowest, the failed, live lines."""
    since = store.label_groups.since
    figures = [
        ("live ", fmt.count(group.live)),
        ("   per second ", fmt.rate(group.rate(store.now))),
        ("   ended ", fmt.count(group.ended)),
        ("   failed ", fmt.count(group.failed)),
        ("   cancelled ", fmt.count(group.cancelled)),
        *([] if group.known_errors is None else [("   5xx ", fmt.count(group.known_errors))]),
        ("   counted for ", fmt.UNKNOWN if since is None else fmt.age(store.now - since)),
    ]
    lines = [
        line((title(group, store), "strong"), *([("  ", "dim"), (group.coro, "dim")] if group.label else [])),
        line(*[(text, style) for name, figure in figures for text, style in ((name, "dim"), (figure, "strong"))]),
        BLANK,
        heading("Where the time of the ended ones went", cells, "p50, p90, p99"),
        *_parts(group),
        BLANK,
        *_histogram(store, group, cells),
        BLANK,
        heading("The slowest", cells),
    ]
    for one in group.slowest:
        where = "" if one.at is None else f"  {site_text(one.at, store)}"
        ended = "" if one.ended is None else when(one.ended, store)
        lines.append(
            line(
                (f"{ended:>11}  ", "dim"),
                (f"{fmt.duration(one.age):>7}  ", "strong"),
                (one.outcome, "bad" if one.outcome == "failed" else "text"),
                (f"  task {one.task}{where}", "dim"),
                target=("task", one.task),
            )
        )
    failed = [task for task in reversed(store.ended) if task.outcome == "failed" and group.holds(task)][:MOST]
    if failed:
        lines += [BLANK, heading("Failed", cells, "newest first")]
    for task in failed:
        text = "" if task.failure is None else task.failure.text
        lines.append(
            line(
                (f"{when(task.ended, store):>11}  ", "dim"),
                (text, "bad"),
                (f"  task {task.id}", "dim"),
                target=("task", task.id),
            )
        )
    return lines + _live(store, group, cells)


def _parts(group: LabelGroup) -> list[Line]:
    rows = [("age", group.age), ("ran", group.ran), ("queued", group.queued), ("waited", group.waited)]
    return [
        *[
            line(
                (f"  {name:<7} ", "dim"),
                *[(f"{fmt.duration(of.at(share)):>8}", "text") for share in (0.5, 0.9, 0.99)],
                (f"   {fmt.duration(total):>8} together", "dim"),
            )
            for (name, of), total in zip(rows, group.sums, strict=True)
        ],
        line(("  ran █ queued ▓ waited ░  ", "dim"), (time_bar(group, BAR), "bar")),
    ]


def _histogram(store: Store, group: LabelGroup, cells: int) -> list[Line]:
    """A line for each power of two: of all, and of the last seconds a column for each."""
    octaves = dict(group.age.octaves())
    if not octaves:
        return [heading("Ages of the ended ones", cells), line(("  none has ended yet", "dim"))]
    most = max(octaves.values())
    seconds = max(min(cells - 44, LOOKS), 0)
    shades = _by_second(store, group, seconds)
    note = f"in all, and in each of the last {seconds} s ░▒▓█" if seconds else ""
    return [
        heading("Ages of the ended ones", cells, note),
        *(
            line(
                (f"  from {fmt.duration(middle(octave * PARTS)):>7}  ", "dim"),
                (bar(octaves.get(octave, 0) / most, SHORT_BAR), "bar"),
                (f"  {fmt.count(octaves.get(octave, 0)):>6}  ", "text"),
                (shades.get(octave, ""), "accent"),
            )
            for octave in range(min(octaves), max(octaves) + 1)
        ),
    ]


def _by_second(store: Store, group: LabelGroup, seconds: int) -> dict[int, str]:
    """For each octave of ages a cell for each of the last seconds, newest last; darker where more tasks ended."""
    counts: dict[int, list[int]] = {}
    for look in group.past:
        place = seconds - 1 - int(store.now - look.at)
        for octave, count in look.octaves if 0 <= place < seconds else ():
            counts.setdefault(octave, [0] * seconds)[place] += count
    most = max((max(row) for row in counts.values()), default=0)
    return {
        octave: "".join(SHADES[math.ceil(math.log1p(count) / math.log1p(most) * 4)] if count else " " for count in row)
        for octave, row in counts.items()
    }


def _live(store: Store, group: LabelGroup, cells: int) -> list[Line]:
    tasks = list(group.live_tasks(store.tasks.values()))
    if not tasks:
        return []
    places = Counter((site_text(task.at, store), wait_text(task, store)) for task in tasks if task.at is not None)
    return [
        BLANK,
        heading("Where live ones wait", cells, f"of {min(len(tasks), 100)} looked at"),
        *(
            line((f"  {count:>5}  ", "strong"), (f"{place:<26}", "text"), (f"  {what}", "dim"))
            for (place, what), count in places.most_common(MOST)
        ),
        *_oldest(store, group),
    ]


def _oldest(store: Store, group: LabelGroup) -> Iterator[Line]:
    oldest = group.oldest
    if oldest is not None and oldest.task in store.tasks:
        age = store.tasks[oldest.task].age(store.now)
        yield line(
            ("  oldest ", "dim"),
            (fmt.age(age), "strong"),
            (f"  task {oldest.task}", "dim"),
            target=("task", oldest.task),
        )
