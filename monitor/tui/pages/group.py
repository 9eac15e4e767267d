"""The page of one group, of one program or of all workers of a service."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.store.across import process_text
from monitor.store.columns import wait_text
from monitor.store.group_columns import bar as time_bar
from monitor.store.group_columns import title
from monitor.store.label_groups import LOOKS, PARTS, LabelGroup, MergedGroup, middle
from monitor.store.labels import site_text, when
from monitor.store.store import Store
from monitor.tui.base.paint import BLANK, Line, line
from monitor.tui.pages.stacks import heading
from monitor.tui.widgets.spark import bar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

BAR = 30
SHORT_BAR = 16
SHADES = " ░▒▓█"
MOST = 10


def group_page(store: Store, group: LabelGroup, cells: int) -> list[Line]:
    """Builds the page: totals, where the time went, a histogram of ages, the slowest, the failed, live lines."""
    return _page(group, [(store, group)], cells, _task_of_one)


def group_page_of_all(parts: Sequence[tuple[Store, LabelGroup]], cells: int) -> list[Line]:
    """Builds the same page for one group of several workers. `parts`: the group in each worker that has it."""
    whole = MergedGroup.of([(group, store.now) for store, group in parts])
    return _page(whole, parts, cells, _task_of_worker, _by_worker(parts, cells))


def _page(
    group: LabelGroup,
    parts: Sequence[tuple[Store, LabelGroup]],
    cells: int,
    named: Callable[[Store, int], tuple[str, Hashable]],
    between: Sequence[Line] = (),
) -> list[Line]:
    """`group`: the parts together. `named`: text and target of a task."""
    counted = [store.now - since for store, _ in parts if (since := store.label_groups.since) is not None]
    now = parts[0][0].now
    over = group.rate_over(now)
    figures = [
        ("live ", fmt.count(group.live)),
        ("   ", f"{fmt.rate(group.rate(now))}/s"),
        *([] if over is None else [(" over ", fmt.age(over))]),
        ("   in ", fmt.age(max(counted)) if counted else fmt.UNKNOWN),
        (" ended ", fmt.count(group.ended)),
        ("   failed ", fmt.count(group.failed)),
        ("   cancelled ", fmt.count(group.cancelled)),
        *([] if group.known_errors is None else [("   5xx ", fmt.count(group.known_errors))]),
    ]
    name = title(group, parts[0][0])
    lines = [
        line((name, "strong"), *([("  ", "dim"), (group.coro, "dim")] if group.label else [])),
        line(*[(text, style) for name, figure in figures for text, style in ((name, "dim"), (figure, "strong"))]),
        *between,
        BLANK,
        heading("Where the time of the ended ones went", cells, "p50, p90, p99"),
        *_parts(group),
        BLANK,
        *_histogram(group, parts, cells),
        BLANK,
        heading("The slowest", cells),
    ]
    slowest = sorted(((store, one) for store, of in parts for one in of.slowest), key=lambda pair: -pair[1].age)
    for store, one in slowest[: max(MOST, len(parts[0][1].slowest))]:
        where = "" if one.at is None else f"  {site_text(one.at, store)}"
        ended = "" if one.ended is None else when(one.ended, store)
        text, target = named(store, one.task)
        lines.append(
            line(
                (f"{ended:>11}  ", "dim"),
                (f"{fmt.duration(one.age):>7}  ", "strong"),
                (one.outcome, "bad" if one.outcome == "failed" else "text"),
                (f"  {text}{where}", "dim"),
                target=target,
            )
        )
    return [*lines, *_failed(parts, cells, named), *_live(parts, cells, named)]


def _task_of_one(_store: Store, task: int) -> tuple[str, Hashable]:
    return f"#{task}", ("task", task)


def _task_of_worker(store: Store, task: int) -> tuple[str, Hashable]:
    return f"worker {store.worker} #{task}", ("worker", store.worker, task)


def _by_worker(parts: Sequence[tuple[Store, LabelGroup]], cells: int) -> list[Line]:
    """A line for each worker, the one with most of them first."""
    lines = [BLANK, heading("By worker", cells, "live, ended, per second, failed, p50, p99")]
    for store, group in sorted(parts, key=lambda part: (-part[1].started, part[0].worker)):
        figures = (fmt.count(group.live), fmt.count(group.ended), fmt.rate(group.rate(store.now)))
        times = [fmt.duration(group.age.at(share)) for share in (0.5, 0.99)]
        lines.append(
            line(
                (f"  {process_text(store):<14}", "accent"),
                ("".join(f"{text:>9}" for text in figures), "text"),
                (f"{fmt.count(group.failed):>9}", "bad" if group.failed else "dim"),
                ("".join(f"{text:>9}" for text in times), "text"),
                target=("worker", store.worker, None),
            )
        )
    return lines


def _failed(
    parts: Sequence[tuple[Store, LabelGroup]], cells: int, named: Callable[[Store, int], tuple[str, Hashable]]
) -> Iterator[Line]:
    failed = [
        (store, task)
        for store, group in parts
        for task in store.ended
        if task.outcome == "failed" and group.holds(task)
    ]
    if failed:
        yield BLANK
        yield heading("Failed", cells, "newest first")
    for store, task in sorted(failed, key=lambda pair: -pair[1].ended)[:MOST]:
        text, target = named(store, task.id)
        yield line(
            (f"{when(task.ended, store):>11}  ", "dim"),
            ("" if task.failure is None else task.failure.text, "bad"),
            (f"  {text}", "dim"),
            target=target,
        )


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


def _histogram(group: LabelGroup, parts: Sequence[tuple[Store, LabelGroup]], cells: int) -> list[Line]:
    """A line for each power of two: of all, and of the last seconds a column for each."""
    octaves = dict(group.age.octaves())
    if not octaves:
        return [heading("Ages of the ended ones", cells), line(("  none has ended yet", "dim"))]
    most = max(octaves.values())
    seconds = max(min(cells - 44, LOOKS), 0)
    shades = _by_second(parts, seconds)
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


def _by_second(parts: Sequence[tuple[Store, LabelGroup]], seconds: int) -> dict[int, str]:
    """For each octave of ages a cell for each of the last seconds, newest last; darker where more tasks ended."""
    counts: dict[int, list[int]] = {}
    for store, group in parts:
        for look in group.past:
            place = seconds - 1 - int(store.now - look.at)
            for octave, count in look.octaves if 0 <= place < seconds else ():
                counts.setdefault(octave, [0] * seconds)[place] += count
    most = max((max(row) for row in counts.values()), default=0)
    return {
        octave: "".join(SHADES[math.ceil(math.log1p(count) / math.log1p(most) * 4)] if count else " " for count in row)
        for octave, row in counts.items()
    }


def _live(
    parts: Sequence[tuple[Store, LabelGroup]], cells: int, named: Callable[[Store, int], tuple[str, Hashable]]
) -> Iterator[Line]:
    tasks = [(store, task) for store, group in parts for task in group.live_tasks(store.tasks.values())]
    if not tasks:
        return
    known = [(store, task) for store, task in tasks if task.at is not None]
    places = Counter((site_text(task.at, store), wait_text(task, store)) for store, task in known)
    note = f"of {min(len(tasks), 100)} looked at"
    yield BLANK
    yield heading("Where live ones wait", cells, note) if places else heading("Live", cells)
    for (place, what), count in places.most_common(MOST):
        yield line((f"  {count:>5}  ", "strong"), (f"{place:<26}", "text"), (f"  {what}", "dim"))
    oldest = [
        (store, store.tasks[group.oldest.task])
        for store, group in parts
        if group.oldest is not None and group.oldest.task in store.tasks
    ]
    if oldest:
        store, task = max(oldest, key=lambda pair: pair[1].age(pair[0].now) or 0.0)
        text, target = named(store, task.id)
        yield line(("  oldest ", "dim"), (fmt.age(task.age(store.now)), "strong"), (f"  {text}", "dim"), target=target)
