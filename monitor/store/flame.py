"""Collects the samples of flame graphs: seconds by group and stack, bounded."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from monitor.protocol.rows import SECOND
from monitor.store.model import Site
from monitor.store.task_names import NOT_KNOWN, title

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from monitor.protocol import frames, rows
    from monitor.store.tables import Tables

MOST_STACKS = 20_000
MOST_FRAMES = 400_000
"""Limit of frames in all stacks. Beyond it or the limit of stacks, those with the least time are merged by group."""

OTHERS = Site("", 0, "(others)")
CALLBACKS = "(callbacks)"
"""The group of what no task ran."""
JOBS = "(jobs)"
"""The group of jobs of which it is not known who asked for them."""
UNKNOWN = "(unknown)"

LEAST_TASK = 0.01
"""Share of the time below which a task is merged with the others of its coroutine."""

BY = ("group", "coroutine", "site", "task", "process", "all")
"""What stacks can be put under. A group is the tasks of one coroutine and label."""

Stack = tuple[Site, ...]
Row = tuple[str, Stack, float]
"""What a stack is put under, the stack, and seconds."""


class Whose(NamedTuple):
    """The task that a stack is of, and what it has in common with others. `task` 0: several, or none."""

    group: str  # the coroutine
    label: str = ""
    site: Site | None = None  # where it was made
    task: int = 0
    process: str = ""  # of a set: worker and pid, as in the column Process

    def title(self, by: str, name_of: Callable[[int], str | None]) -> str:
        """The name of what a stack is put under, by one of BY."""
        if by == "all":
            return "all tasks"
        if by == "process":
            return f"worker {self.process}" if self.process else "this process"
        if self.group in (CALLBACKS, JOBS) or by == "coroutine":
            return self.group
        if by == "task" and self.task:
            return title(self.task, name_of(self.task), self.group, self.label)
        if by == "site":
            return "(made where is not known)" if self.site is None else f"{self.site.function} {_place(self.site)}"
        if self.group == NOT_KNOWN:
            return self.label or UNKNOWN
        return f"{self.group} {self.label}" if self.label else self.group

    def is_of(self, group: str) -> bool:
        """Whether this is the group named: by its coroutine (whole, or the end of it), its label, or both."""
        coroutine = self.group == group or self.group.endswith(f".{group}")
        return coroutine or (bool(self.label) and group in (self.label, f"{self.group} {self.label}"))


def _place(site: Site) -> str:
    return f"{site.file.rpartition('/')[2]}:{site.line}"


def _no_name(task: int) -> str | None:  # noqa: ARG001
    return None


class Stacks:
    """Seconds by task and stack, outermost frame first."""

    def __init__(self) -> None:
        self._rows: dict[tuple[Whose, Stack], float] = {}
        self._frames = 0
        self.revision = 0

    def add(self, whose: Whose, stack: Stack, seconds: float) -> None:
        """Adds time to a stack."""
        key = whose, stack
        if key not in self._rows:
            if len(self._rows) >= MOST_STACKS or self._frames > MOST_FRAMES:
                self._thin_out()
            self._frames += len(stack)
        self._rows[key] = self._rows.get(key, 0.0) + seconds
        self.revision += 1

    def _thin_out(self) -> None:
        """Merges the tasks of a group; if that is not enough, leaves only the half with the most time whole."""
        self._keep((whose._replace(task=0), stack, seconds) for whose, stack, seconds in self)
        if len(self._rows) <= MOST_STACKS // 2 and self._frames <= MOST_FRAMES // 2:
            return
        whole = sorted(self._rows.items(), key=lambda row: -row[1])
        frames, kept = 0, []
        for number, ((whose, stack), seconds) in enumerate(whole):
            frames += len(stack)
            is_whole = number < MOST_STACKS // 2 and frames < MOST_FRAMES // 2
            kept.append((whose if is_whole else Whose(whose.group), stack if is_whole else (OTHERS,), seconds))
        self._keep(kept)
        if len(self._rows) > MOST_STACKS // 4 * 3:  # so many groups
            self._keep((w if s != (OTHERS,) else Whose(UNKNOWN), s, seconds) for w, s, seconds in list(self))

    def _keep(self, rows: Iterable[tuple[Whose, Stack, float]]) -> None:
        found: dict[tuple[Whose, Stack], float] = {}
        for whose, stack, seconds in rows:
            found[whose, stack] = found.get((whose, stack), 0.0) + seconds
        self._rows = found
        self._frames = sum(len(stack) for _, stack in found)

    @property
    def seconds(self) -> float:
        """Seconds of all stacks together."""
        return sum(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[tuple[Whose, Stack, float]]:
        for (whose, stack), seconds in self._rows.items():
            yield whose, stack, seconds

    def by(self, what: str = "group", name_of: Callable[[int], str | None] = _no_name) -> list[Row]:
        """The rows under the titles of one of BY; several rows may have one title and stack."""
        titles: dict[Whose, str] = {}
        others = self._small_tasks() if what == "task" else {}
        found = []
        for (whose, stack), seconds in self._rows.items():
            title = titles.get(whose)
            if title is None:
                title = titles[whose] = others.get(whose.task) or whose.title(what, name_of)
            found.append((title, stack, seconds))
        return found

    def _small_tasks(self) -> dict[int, str]:
        """The common titles of tasks with very little time each, of which there may be thousands."""
        seconds: dict[tuple[int, str], float] = {}
        for (whose, _), here in self._rows.items():
            key = whose.task, whose.group
            seconds[key] = seconds.get(key, 0.0) + here
        least = LEAST_TASK * sum(seconds.values())
        small = [key for key, here in seconds.items() if key[0] and here < least]
        several = Counter(group for _, group in small)
        return {task: f"other tasks of {group}" for task, group in small if several[group] > 1}

    def only(self, group: str) -> Stacks:
        """The stacks of one group; all if none is named."""
        return Stacks.of(row for row in self if row[0].is_of(group)) if group else self

    def copy(self) -> Stacks:
        """One that stays as it is."""
        twin = Stacks()
        twin._rows, twin._frames, twin.revision = dict(self._rows), self._frames, self.revision
        return twin

    def since(self, before: Stacks) -> Stacks:
        """What was added after a copy was made."""
        known = before._rows
        rows = ((*key, seconds - known.get(key, 0.0)) for key, seconds in self._rows.items())
        return Stacks.of(row for row in rows if row[2] > 1e-9)

    @classmethod
    def of(cls, rows: Iterable[tuple[Whose, Stack, float]]) -> Stacks:
        """Of tasks, stacks and seconds."""
        found = cls()
        for row in rows:
            found.add(*row)
        return found


class FlameSamples:
    """What loops ran, what tasks waited for, and what jobs of executors did, since the first tick that brought some."""

    def __init__(self) -> None:
        self.on_loop, self.waiting, self.jobs = Stacks(), Stacks(), Stacks()
        self.samples = {"on_loop": 0, "jobs": 0}  # that found a stack
        self.idle = 0.0  # seconds in which loops ran no callback
        self.lost = 0
        self.why_not = ""  # the reason, if what loops run cannot be sampled
        self.since: float | None = None

    def apply(self, flame: frames.Flame, at: float, tables: Tables) -> None:
        """Adds the samples of a tick."""
        self.since = at if self.since is None else self.since
        self.samples["on_loop"] += sum(row.samples for row in flame.on_loop)
        self.samples["jobs"] += sum(row.samples for row in flame.jobs)
        self.idle += flame.idle * SECOND
        self.lost += flame.lost
        self.why_not = flame.why_not
        for row in flame.on_loop:
            nobody = UNKNOWN if row.task else CALLBACKS
            self.on_loop.add(_whose(row, tables, nobody), tables.stack(row.stack), row.time * SECOND)
        for row in flame.jobs:
            self.jobs.add(_whose(row, tables, JOBS), tables.stack(row.stack), row.time * SECOND)
        for waited in flame.waiting:
            self.waiting.add(_whose(waited, tables, UNKNOWN), tables.stack(waited.stack), waited.time * SECOND)

    def of(self, kind: str) -> Stacks:
        """The stacks of `on_loop`, `waiting` or `jobs`."""
        return {"on_loop": self.on_loop, "waiting": self.waiting, "jobs": self.jobs}[kind]

    def frozen(self) -> FlameSamples:
        """A copy that stays as it is."""
        twin = FlameSamples()
        vars(twin).update(vars(self))
        twin.samples = dict(self.samples)
        twin.on_loop, twin.waiting, twin.jobs = self.on_loop.copy(), self.waiting.copy(), self.jobs.copy()
        return twin


def _whose(row: rows.OnLoopRow | rows.WaitingRow, tables: Tables, nobody: str) -> Whose:
    if not row.group:
        return Whose(nobody)
    label = tables.string(row.label) if row.label else ""
    return Whose(tables.string(row.group), label, tables.site(row.site), row.task)
