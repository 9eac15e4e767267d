"""The threads of a program: what they used between two looks, what they do, and for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from monitor import formatting as fmt
from monitor.protocol.rows import SECOND
from monitor.store.column import Column, figure
from monitor.store.task_names import title

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitor.protocol.thread_frames import ThreadFacts, ThreadsReply
    from monitor.store.model import Loop, Site
    from monitor.store.tables import Tables

FRESH = 2.0
"""Seconds for which a look counts as being of now."""
LOOKS = 2
"""Looks that are kept: shares are of the time between them."""


class Thread(msgspec.Struct, frozen=True):
    """A thread at the newest look.

    `cpu` is its share of one processor since the look before, `queued` the share of that time in which it was ready
    and had no processor, `gil` the share in which it had the GIL; None if it is new, or unknown. `utilization`: of the
    event loop that it runs.
    """

    facts: ThreadFacts
    cpu: float | None
    queued: float | None
    at: Site | None
    stack: tuple[Site, ...]
    job: Site | None
    loop: int | None = None
    utilization: float | None = None
    gil: float | None = None


class Threads(msgspec.Struct, frozen=True):
    """The threads, the busiest first; `time` is the Unix time of the look, None if unknown."""

    rows: tuple[Thread, ...] = ()
    seconds: float = 0.0
    more: int = 0
    time: float | None = None

    @property
    def cpu(self) -> float:
        """Of all threads that were there during the whole look."""
        return sum(row.cpu or 0.0 for row in self.rows)

    @property
    def cpu_of_loops(self) -> float:
        """Of those that run an event loop."""
        return sum(row.cpu or 0.0 for row in self.rows if row.loop is not None)

    def age(self, now: float) -> float | None:
        """How many seconds the look was ago at a time; None if it was hardly ago, or is unknown."""
        return now - self.time if self.time is not None and now - self.time >= FRESH else None

    def busiest_other(self) -> Thread | None:
        """The busiest thread without a loop."""
        return next((row for row in self.rows if row.loop is None and row.cpu), None)


def compared(looks: Sequence[ThreadsReply], tables: Tables, loops: Iterable[Loop] = ()) -> Threads:
    """The threads of the newest look, with what they used since the one before."""
    if not looks:
        return Threads()
    after, before = looks[-1], looks[-2] if len(looks) > 1 else None
    known = {facts.native: facts for facts in before.rows} if before is not None else {}
    running = {loop.thread: loop for loop in loops}
    rows = []
    for facts in after.rows:
        first = known.get(facts.native)
        cpu = queued = gil = None
        if first is not None and first.ident in (None, facts.ident) and facts.read > first.read:
            elapsed = facts.read - first.read
            cpu = max(facts.cpu - first.cpu, 0) / elapsed
            if facts.queued is not None and first.queued is not None:
                queued = max(facts.queued - first.queued, 0) / elapsed
            if facts.gil is not None and first.gil is not None:
                gil = min(max(facts.gil - first.gil, 0) / elapsed, 1.0)
        loop = running.get(facts.native)
        rows.append(
            Thread(
                facts,
                cpu,
                queued,
                tables.site(facts.stack[facts.at]) if 0 <= facts.at < len(facts.stack) else None,
                tables.stack(facts.stack),
                tables.site(facts.job.site) if facts.job is not None else None,
                None if loop is None else loop.id,
                None if loop is None else loop.utilization,
                gil,
            )
        )
    rows.sort(key=lambda row: -(row.cpu or 0.0))
    seconds = 0.0 if before is None else (after.at - before.at) / 1e6
    return Threads(tuple(rows), seconds, after.more, None if after.time is None else after.time * SECOND)


def job_text(row: Thread, roots: tuple[str, ...] = ()) -> str:
    """`crunch app.py:7 for asker`: the job of an executor, and the task that asked for it."""
    job = row.facts.job
    if job is None:
        return ""
    text = job.function + (f" {fmt.place(row.job.file, row.job.line, roots=roots)}" if row.job is not None else "")
    return text if job.task is None else f"{text} for {title(job.task.id, job.task.name, job.task.coro)}"


def _loop_text(row: Thread) -> str:
    return "" if row.loop is None else f"loop {row.loop} {fmt.percent(row.utilization)}"


def _percent(share: float | None) -> str:
    return "" if share is None else fmt.percent(share)


THREADS: tuple[Column[Thread], ...] = (
    Column("name", "Thread", 18, "its name", lambda t, s: t.facts.name, lambda t, s: t.facts.name, descending=False),
    figure("cpu", "CPU", 6, "share of one processor that it used", _percent, lambda t, s: t.cpu, unit="0..1"),
    figure(
        "gil",
        "GIL",
        6,
        "share of time in which it had the GIL, in samples taken while this is shown",
        fmt.percent,
        lambda t, s: t.gil,
        unit="0..1",
        priority=2,
    ),
    Column(
        "state",
        "State",
        9,
        "running (or ready, or waiting for the GIL), sleeping, …",
        lambda t, s: t.facts.state,
        lambda t, s: t.facts.state,
        priority=2,
    ),
    Column(
        "loop",
        "Loop",
        11,
        "the event loop that it runs, and the utilization of that",
        lambda t, s: _loop_text(t),
        lambda t, s: t.utilization,
        priority=3,
    ),
    Column("at", "At", 0, "the innermost line of your own code", lambda t, s: place(t.at, s.roots), None),
    Column(
        "job",
        "Job",
        30,
        "the job of an executor, and the task that asked for it",
        lambda t, s: job_text(t, s.roots),
        None,
    ),
    figure(
        "queued",
        "Queued",
        6,
        "share of time in which it was ready and had no processor",
        _percent,
        lambda t, s: t.queued,
        unit="0..1",
        priority=2,
    ),
    figure("native", "Id", 8, "the number that the kernel has for it", str, lambda t, s: t.facts.native, priority=5),
)


def place(site: Site | None, roots: tuple[str, ...] = ()) -> str:
    """`app.py:12 spawn`; empty for a thread without a line of user code."""
    return "" if site is None else fmt.place(site.file, site.line, site.function.rpartition(".")[2], roots)
