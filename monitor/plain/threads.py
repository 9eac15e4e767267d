"""Output of `looptop threads`: what each thread does, and for whom."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from monitor import formatting as fmt
from monitor.errors import ConnectError, LooptopError
from monitor.plain.snapshot import replies
from monitor.plain.tables import of_columns, table
from monitor.store.across import OfWorker, across, process_text
from monitor.store.store import Store
from monitor.store.threads import THREADS

if TYPE_CHECKING:
    from monitor.transport.connection import Connection


def look(connection: Connection, duration: float) -> Store:
    """Look at the threads twice, that many seconds apart, and close the connection. Raises LooptopError."""
    with closing(connection):
        if "threads" not in connection.hello.capabilities:
            raise ConnectError(
                f"the probe at {connection.where} does not report threads",
                "it reads from outside, or is older than this looptop: detach it, attach again",
            )
        store = Store()
        store.apply(connection.hello)
        connection.send(
            {"type": "watch", "rate": 4, "rows": False, "events": False, "gil": True}
        )  # else tasks have no ids
        _ask(connection, store, 1)
        until = time.monotonic() + duration
        while (left := until - time.monotonic()) > 0:
            for frame in connection.receive(left):
                store.apply(frame)
        _ask(connection, store, 2)
        return store


def _ask(connection: Connection, store: Store, number: int) -> None:
    connection.send({"type": "request", "id": number, "op": "threads"})
    reply = replies(connection, store, number)
    if not reply.ok or reply.threads is None:
        raise LooptopError("the threads cannot be listed", reply.error)
    store.add_threads(reply.threads)


def thread_lines(store: Store, width: int, colour: bool) -> list[str]:
    """A table, and a line with the sums."""
    return [*table(store.threads.rows, of_columns(THREADS, store), width, colour), "", _sums(store)]


def lines_of_all(stores: dict[int, Store], width: int, colour: bool) -> list[str]:
    """One table with the threads of several processes by slot, and the sums of each."""
    for worker, store in stores.items():
        store.worker = worker
    rows = [OfWorker(store, row) for store in stores.values() for row in store.threads.rows]
    rows.sort(key=lambda of: -(of.row.cpu or 0.0))
    headings = of_columns(across(THREADS), next(iter(stores.values())), lambda of: of.row)
    return [
        *table(rows, headings, width, colour),
        "",
        *(f"worker {process_text(store)}: {_sums(store)}" for store in stores.values()),
    ]


def _sums(store: Store) -> str:
    threads = store.threads
    more = f", {threads.more} more are not shown" if threads.more else ""
    number = fmt.several(len(threads.rows), "thread")
    age = threads.age(store.now)
    seen = "" if age is None else f"; seen {fmt.duration(age)} earlier"
    return (
        f"{number}{more}; CPU {fmt.percent(threads.cpu)} over {fmt.duration(threads.seconds)}, "
        f"{fmt.percent(threads.cpu_of_loops)} in threads with a loop{seen}"
    )
