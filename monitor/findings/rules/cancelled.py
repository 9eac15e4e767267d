"""Rules about cancellation: tasks cancelled along with another, lines that cancel nearly all tasks of a kind."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.findings.model import Line, Observation
from monitor.findings.rules.shared import more
from monitor.store.cancel_text import words
from monitor.store.task_names import title, title_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.findings.thresholds import Thresholds
    from monitor.store.model import CancelledBy, EndedTask, Site
    from monitor.store.store import Store

KIND = "cancelled_by"
_NEAR = 0.5
_NAMED = 5
"""How many of the tasks that one line cancelled are listed."""


@dataclass(slots=True)
class _CancelledGroup:
    """Tasks of one creation site that one line cancelled by cancelling what they awaited."""

    first: float
    last: EndedTask
    by: CancelledBy
    count: int = 1


@dataclass(slots=True)
class CancelledWithAwaited:
    """Tasks that ended as cancelled because what they awaited was cancelled.

    Reported only if the program keeps running: cancelling everything is normal during shutdown.
    """

    _groups: dict[tuple[Site | None, Site | None], _CancelledGroup] = field(default_factory=dict)
    _last: EndedTask | None = None

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """Yields one observation per cancelling line and creation site of the cancelled tasks."""
        for ended in _since(store, self._last):
            by = ended.cancelled_by
            if by is None or by.asked or by.through is None or by.how != "call" or by.task == ended.parent:
                continue
            if _between_packages(store, by.site, ended.site):
                continue
            group = self._groups.get((by.site, ended.site))
            if group is not None:
                group.last, group.by, group.count = ended, by, group.count + 1
            elif len(self._groups) < 500:
                self._groups[by.site, ended.site] = _CancelledGroup(ended.ended, ended, by)
        self._last = next(reversed(store.ended), None)
        for place, group in list(self._groups.items()):
            if store.now - group.last.ended > thresholds.of(KIND, "keep"):
                del self._groups[place]
            else:
                yield _taken_observation(place, group)


def _between_packages(store: Store, by: Site | None, made: Site | None) -> bool:
    """Whether both lines are in packages or the standard library, as if a server cancels its own idle timers."""
    stdlib = store.session.paths.get("stdlib", []) if store.session is not None else []
    return all(
        site is not None and ("/site-packages/" in site.file or site.file.startswith(tuple(stdlib)))
        for site in (by, made)
    )


def _since(store: Store, last: EndedTask | None) -> list[EndedTask]:
    new: list[EndedTask] = []
    for ended in reversed(store.ended):
        if last is not None and (ended.id, ended.ended) == (last.id, last.ended):  # names depend on what else is known
            break
        new.append(ended)
    return new[::-1]


def _taken_observation(place: tuple[Site | None, Site | None], group: _CancelledGroup) -> Observation:
    ended, by = group.last, group.by
    times = f"{group.count} times, most recently " if group.count > 1 else ""
    return Observation(
        KIND,
        ("along", *place),
        f"{times}{title_of(ended)} was cancelled {words(by)}",
        task=ended.id,
        name=ended.name,
        coro=ended.coro,
        label=ended.label,
        site=by.site,
        lines=(
            Line(
                f"cancelled {by.through_title or title(by.through, by.through_name, '') or 'what it awaited'}",
                by.site,
                by.task,
                by.name,
            ),
            Line("was cancelled with it; created here", ended.site, ended.id, ended.name, ended.coro, ended.label),
        ),
        evidence={
            "times": group.count,
            "by": by.name,
            "by_task": by.task,
            "through": by.through_name,
            "last": round(ended.ended, 6),
        },
        since=group.first,
    )


def mass(store: Store, thresholds: Thresholds) -> Iterator[Observation]:
    """Yields one observation per line that cancels nearly all tasks created at another."""
    begin = store.now - thresholds.of(KIND, "window")
    least, share = thresholds.of(KIND, "least"), thresholds.of(KIND, "share")
    ends: Counter[Site | None] = Counter()
    cancelled: dict[tuple[Site, Site | None], list[EndedTask]] = {}
    for ended in reversed(store.ended):
        if ended.ended < begin:
            break
        ends[ended.site] += 1
        by = ended.cancelled_by
        if by is None or not by.asked or by.how != "call" or by.site is None or by.through is not None:
            continue
        if not _between_packages(store, by.site, ended.site):
            cancelled.setdefault((by.site, ended.site), []).append(ended)
    for (line, made), tasks in cancelled.items():
        part = len(tasks) / ends[made]
        if len(tasks) >= least * _NEAR and part >= share * (1 - _NEAR / 5):
            yield _mass_observation(line, made, tasks, part, strong=len(tasks) >= least and part >= share)


def _mass_observation(
    line: Site, made: Site | None, tasks: list[EndedTask], part: float, *, strong: bool
) -> Observation:
    by = tasks[0].cancelled_by
    who = by.name if by is not None else None
    return Observation(
        KIND,
        ("mass", line, made),
        f"{len(tasks)} tasks such as {title_of(tasks[0])} were cancelled {words(by) if by is not None else ''}, "
        f"{part:.0%} of all that ended",
        strong=strong,
        at_once=True,
        task=tasks[0].id,
        name=tasks[0].name,
        coro=tasks[0].coro,
        label=tasks[0].label,
        site=line,
        lines=(
            Line("cancels them", line, by.task if by is not None else None, who),
            Line("creates them", made),
            *(Line("was cancelled", None, task.id, task.name, task.coro, task.label) for task in tasks[:_NAMED]),
            *more(len(tasks), "were cancelled", _NAMED),
        ),
        evidence={"times": len(tasks), "share": round(part, 3), "by": who},
        since=tasks[-1].ended,
    )
