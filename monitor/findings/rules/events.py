"""Rules for events that stay reported for a while: exceptions never retrieved, coroutines and tasks dropped."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from monitor.findings.model import Line, Observation
from monitor.findings.thresholds import Thresholds
from monitor.store import model
from monitor.store.store import Store
from monitor.store.task_names import title, title_of

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Hashable, Iterator

_KINDS = {
    "Task exception was never retrieved": "never_retrieved",
    "Future exception was never retrieved": "never_retrieved",
    "Task was destroyed but it is pending!": "collected_pending",
}
MOST_SUBJECTS = 500
Entry = TypeVar("Entry")
_NUMBER = re.compile(r"\d+$")


@dataclass(slots=True)
class _Group:
    """The events at one place."""

    first: float
    last: model.Unhandled
    count: int = 1


@dataclass(slots=True)
class Unhandled:
    """Calls of the loops' exception handlers, grouped by the place that they concern."""

    _groups: dict[tuple[str, Hashable], _Group] = field(default_factory=dict)
    _last: model.Unhandled | None = None

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """Yields one observation per place, while the last event is recent enough."""
        for entry in _since(store.unhandled, self._last):
            kind = _KINDS.get(entry.message)
            if kind is not None:
                self._add(kind, _with_end(store, entry))
        self._last = store.unhandled[-1] if store.unhandled else None
        for (kind, place), group in list(self._groups.items()):
            if store.now - group.last.at > thresholds.of(kind, "keep"):
                del self._groups[kind, place]
            else:
                yield _observation(kind, place, group)

    def _add(self, kind: str, entry: model.Unhandled) -> None:
        failure = entry.failure
        raised = failure.traceback[-1] if failure is not None and failure.traceback else None
        # The creation site comes second: it is unknown for tasks older than the probe, and the cause is the same.
        place = raised or entry.site or entry.coro or _NUMBER.sub("", entry.name or "")
        key = kind, (place, failure.type if failure is not None else None)
        group = self._groups.get(key)
        if group is not None:
            group.last, group.count = entry, group.count + 1
        elif len(self._groups) < MOST_SUBJECTS:
            self._groups[key] = _Group(entry.at, entry)


def _with_end(store: Store, entry: model.Unhandled) -> model.Unhandled:
    """Adds the task from its end in the store: the probe drops a failed task before asyncio reports the exception."""
    if entry.task is not None or entry.name is None or entry.failure is None:
        return entry
    for end in reversed(store.ended):
        failure = end.failure
        if end.name == entry.name and failure is not None and failure.traceback == entry.failure.traceback:
            return replace(
                entry, task=end.id, site=end.site, coro=end.coro or entry.coro, label=end.label or entry.label
            )
    return entry


def _since(entries: deque[Entry], last: Entry | None) -> list[Entry]:
    """The entries after the last one that was processed."""
    new: list[Entry] = []
    for entry in reversed(entries):
        if entry == last:  # not `is`: after a seek in a recording they are equal copies
            break
        new.append(entry)
    return new[::-1]


@dataclass(slots=True)
class _Dropped:
    first: float
    last: model.NeverAwaited
    count: int = 1


@dataclass(slots=True)
class NeverAwaited:
    """Coroutines that were created and dropped, grouped by the line that dropped them."""

    _groups: dict[tuple[str, model.Site | None], _Dropped] = field(default_factory=dict)
    _last: model.NeverAwaited | None = None

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """Yields one observation per line and coroutine."""
        for entry in _since(store.never_awaited, self._last):
            key = entry.coro, entry.line
            group = self._groups.get(key)
            if group is not None:
                group.last, group.count = entry, group.count + 1
            elif len(self._groups) < MOST_SUBJECTS:
                self._groups[key] = _Dropped(entry.at, entry)
        self._last = store.never_awaited[-1] if store.never_awaited else None
        for key, group in list(self._groups.items()):
            if store.now - group.last.at > thresholds.of("never_awaited", "keep"):
                del self._groups[key]
            else:
                yield _dropped_observation(group)


def _dropped_observation(group: _Dropped) -> Observation:
    last = group.last
    made = "created and dropped here" if last.made_here else "dropped here; where it was created is not known"
    times = f"{group.count} times, " if group.count > 1 else ""
    lines = [Line(made, last.line)] if last.line is not None else []
    lines.append(Line(f"{last.coro} is defined here", last.defined))
    return Observation(
        "never_awaited",
        (last.coro, last.line),
        f"{times}{last.coro}() was never awaited",
        at_once=True,
        site=last.line or last.defined,
        lines=tuple(lines),
        evidence={"times": group.count, "coro": last.coro, "made_here": last.made_here, "last": round(last.at, 6)},
        since=group.first,
    )


_TOO_OFTEN = "BoundedSemaphore released too many times"


@dataclass(slots=True)
class SemaphoreErrors:
    """Tasks that failed because they released a BoundedSemaphore too often."""

    def __call__(self, store: Store, thresholds: Thresholds) -> Iterator[Observation]:
        """Yields one observation per releasing line."""
        begin = store.now - thresholds.of("semaphore_overreleased", "keep")
        found: dict[model.Site | None, list[model.EndedTask]] = {}
        for end in reversed(store.ended):
            if end.ended < begin:
                break
            if end.failure is not None and end.failure.type == "ValueError" and end.failure.message == _TOO_OFTEN:
                traceback = end.failure.traceback
                own = next((site for site in reversed(traceback) if "/asyncio/" not in site.file), None)
                found.setdefault(own, []).append(end)
        for line, ends in found.items():
            last = ends[0]
            yield Observation(
                "semaphore_overreleased",
                line,
                f"{title_of(last)} released a BoundedSemaphore too often, and failed",
                at_once=True,
                task=last.id,
                name=last.name,
                coro=last.coro,
                label=last.label,
                site=line or last.site,
                lines=tuple(Line("", site) for site in last.failure.traceback) if last.failure is not None else (),
                evidence={"times": len(ends), "exception": "ValueError", "message": _TOO_OFTEN},
                since=ends[-1].ended,
            )


def _observation(kind: str, place: Hashable, group: _Group) -> Observation:
    last, failure = group.last, group.last.failure
    name = title(last.task, last.name, last.coro, last.label) or "a future"
    many = group.count > 1
    if kind == "collected_pending":
        made = f" created by {last.site.function.rpartition('.')[2]}" if last.site is not None else ""
        text = f"{name} was garbage-collected while pending"
        if many:
            text = f"{group.count} tasks{made} were garbage-collected while pending, most recently {name}"
    else:
        what = failure.text.split("\n")[0] if failure is not None else "an exception"
        times = f", {group.count} times, most recently" if many else ""
        text = f"{what}{times} in {name}; result never awaited"
    traceback = failure.traceback if failure is not None else ()
    return Observation(
        kind,
        place,
        text,
        at_once=True,
        task=last.task,
        name=last.name,
        coro=last.coro,
        label=last.label,
        site=last.site or (traceback[-1] if traceback else None),
        lines=tuple(Line("", site) for site in traceback),
        evidence={
            "times": group.count,
            "exception": failure.type if failure is not None else None,
            "message": failure.message if failure is not None else None,
            "coro": last.coro or None,
            "label": last.label,
            "last": round(last.at, 6),
        },
        since=group.first,
    )
