"""Output of `looptop threads`: what each thread does, and for whom."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.errors import ConnectError, LooptopError
from monitor.plain.objects import Object, rounded, site_object, stack
from monitor.plain.snapshot import replies
from monitor.plain.tables import Heading, table
from monitor.store.labels import called
from monitor.store.store import Store

if TYPE_CHECKING:
    from monitor.protocol.thread_frames import ThreadFacts, ThreadsLook
    from monitor.store.model import Site
    from monitor.transport.connection import Connection


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread at the end of the look. `cpu`: its share of one processor over the look; None if it is new."""

    facts: ThreadFacts
    cpu: float | None
    at: Site | None
    stack: tuple[Site, ...]
    job: Site | None


@dataclass(frozen=True, slots=True)
class Threads:
    """The threads, the busiest first."""

    rows: list[Thread]
    seconds: float
    more: int

    @property
    def cpu(self) -> float:
        """Of all threads that were there during the whole look."""
        return sum(row.cpu or 0.0 for row in self.rows)


def look(connection: Connection, duration: float) -> Threads:
    """Look at the threads twice, that many seconds apart, and close the connection. Raises LooptopError."""
    with closing(connection):
        if "threads" not in connection.hello.capabilities:
            raise ConnectError(
                f"the probe at {connection.where} tells nothing of threads",
                "it reads from outside, or is older than this looptop: detach it, attach again",
            )
        store = Store()
        store.apply(connection.hello)
        connection.send({"type": "watch", "rate": 1, "rows": False, "events": False})  # else tasks have no ids
        before = _ask(connection, store, 1)
        until = time.monotonic() + duration
        while (left := until - time.monotonic()) > 0:
            for frame in connection.receive(left):
                store.apply(frame)
        return compared(store, before, _ask(connection, store, 2))


def _ask(connection: Connection, store: Store, number: int) -> ThreadsLook:
    connection.send({"type": "request", "id": number, "op": "threads"})
    reply = replies(connection, store, number)
    if not reply.ok or reply.threads is None:
        raise LooptopError("the threads cannot be listed", reply.error)
    return reply.threads


def compared(store: Store, before: ThreadsLook, after: ThreadsLook) -> Threads:
    """The threads of the second look, with the CPU shares since the first."""
    known = {facts.native: facts for facts in before.rows}
    rows = []
    for facts in after.rows:
        first = known.get(facts.native)
        cpu = None
        if first is not None and first.ident in (None, facts.ident) and facts.read > first.read:
            cpu = max(facts.cpu - first.cpu, 0) / (facts.read - first.read)
        at = store.tables.site(facts.stack[facts.at]) if 0 <= facts.at < len(facts.stack) else None
        job = store.tables.site(facts.job.site) if facts.job is not None else None
        rows.append(Thread(facts, cpu, at, store.tables.stack(facts.stack), job))
    rows.sort(key=lambda row: -(row.cpu or 0.0))
    return Threads(rows, (after.at - before.at) / 1e6, after.more)


def threads_object(threads: Threads) -> Object:
    """The object that `looptop threads --json` prints. Stacks are outermost first."""
    return {
        "duration": rounded(threads.seconds),
        "cpu": rounded(threads.cpu),
        "threads": [_object(row) for row in threads.rows],
        "more": threads.more,
    }


def _object(row: Thread) -> Object:
    facts, job = row.facts, row.facts.job
    task = None if job is None else job.task
    return {
        "name": facts.name,
        "native": facts.native,
        "ident": facts.ident,
        "daemon": facts.daemon,
        "cpu": None if row.cpu is None else rounded(row.cpu),
        "state": facts.state,
        "at": site_object(row.at),
        "stack": stack(row.stack),
        "job": None
        if job is None
        else {
            "function": job.function,
            "site": site_object(row.job),
            "task": None if task is None else {"id": task.id, "name": task.name, "coro": task.coro},
        },
    }


def _job_text(row: Thread) -> str:
    job = row.facts.job
    if job is None:
        return ""
    text = job.function + (f" {fmt.place(row.job.file, row.job.line)}" if row.job is not None else "")
    return text if job.task is None else f"{text} for {called(job.task.name, job.task.coro)}"


_HEADINGS: list[Heading[Thread]] = [
    Heading("Thread", lambda row: row.facts.name, priority=0),
    Heading("Id", lambda row: str(row.facts.native), right=True, priority=2),
    Heading("CPU", lambda row: "" if row.cpu is None else fmt.percent(row.cpu), right=True, priority=0),
    Heading("State", lambda row: row.facts.state, priority=1),
    Heading(
        "At", lambda row: "" if row.at is None else fmt.place(row.at.file, row.at.line, row.at.function), priority=1
    ),
    Heading("Job", _job_text, priority=1),
]


def thread_lines(threads: Threads, width: int, colour: bool) -> list[str]:
    """A table, and a line with the sum."""
    more = f", {threads.more} more are not shown" if threads.more else ""
    note = f"{len(threads.rows)} threads{more}; CPU {fmt.percent(threads.cpu)} over {fmt.duration(threads.seconds)}"
    return [*table(threads.rows, _HEADINGS, width, colour), "", note]
